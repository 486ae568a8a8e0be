"""Unit and contract tests by module, and the real servers that all tests share."""
