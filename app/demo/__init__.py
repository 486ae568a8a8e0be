"""Demo data: a month of invented conversations and verdicts, made by the app's own code.

Everything of it belongs to the people in `PEOPLE` and carries the tag `thumbprint.demo` in MLflow;
that is how it is told from the real and how it is removed.
"""

DEMO_TAG = "thumbprint.demo"

# Exactly these: somebody real may be called demo-something.
PEOPLE = tuple(
    f"demo-{name}"
    for name in (
        *("ada", "ben", "chloe", "dmitri", "elif", "fatima", "goran", "hana", "ines", "jonas"),
        *("kofi", "lena", "mateo", "nora", "omar", "petra", "quentin", "rosa", "sami", "tove"),
        *("uma", "viktor", "wanda", "xenia", "yusuf", "zofia"),
    )
)
