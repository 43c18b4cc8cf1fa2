"""The generated stubs of package penstock.v1."""
