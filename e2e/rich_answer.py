"""One answer with everything Markdown offers: headings, lists, a table, a quote, links and code."""

from __future__ import annotations

LAST_WORDS = "That is all there is to it."

RICH = f'''## Why the sky is blue

Sunlight looks white, but it holds **every colour**. When it meets the air, the molecules scatter
*short* wavelengths far more than long ones, which is called
[Rayleigh scattering](https://en.wikipedia.org/wiki/Rayleigh_scattering).

1. Blue light is scattered about **nine times** as strongly as red.
2. Your eyes are more sensitive to blue than to violet.
   - Violet is also absorbed high up
   - and there is less of it in sunlight
3. So the sky, seen from below, is blue.

> At sunset the light crosses much more air, and what is left is red.

| Colour | Wavelength | Scattering |
|---|---|---|
| Blue | 450 nm | strong |
| Red | 700 nm | weak |

The strength goes with the fourth power, which you can compute with `strength()`:

```python
from dataclasses import dataclass

@dataclass
class Light:
    wavelength: float  # nanometres

def strength(light: Light) -> float:
    """Relative scattering."""
    return (700 / light.wavelength) ** 4

for nm in (450, 550, 700):
    print(f"{{nm}} nm: {{strength(Light(nm)):.1f}}, in a line so long that the block must scroll")
```

{LAST_WORDS}
'''


def tokens(text: str, size: int = 4) -> list[str]:
    """The text in pieces of `size` characters, as a model would send it."""
    return [text[start : start + size] for start in range(0, len(text), size)]
