"""Images of Pillow in all modes, made in memory or opened from a file."""

import pytest
from skips import needs

from hashstash import HashStash
from hashstash.errors import BadEntry

needs("PIL")

MODES = (
    "1",
    "L",
    "P",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "LA",
    "PA",
    "RGBX",
    "RGBa",
    "La",
    "I;16",
)
DEFINITIONS = """
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImagePalette

made = Image.linear_gradient("L").resize((97, 61)).rotate(20)
colors = Image.merge("RGB", [made, made.rotate(50), made.rotate(90)])


def in_mode(mode):
    if mode in {"La", "LA", "PA"}:
        return colors.convert("LA").convert(mode) if mode != "PA" else colors.convert("P").convert("PA")
    if mode in {"RGBa", "RGBX"}:
        return colors.convert("RGBA").convert(mode) if mode == "RGBa" else colors.convert("RGBX")
    if mode == "LAB":
        return Image.frombytes("LAB", colors.size, colors.tobytes())
    return (made if mode in {"I", "F", "I;16", "L", "1"} else colors).convert(mode)


def saved(image, kind, **options):
    image.save("image." + kind, **options)
    return Image.open("image." + kind)


def animated():
    frames = [colors.convert("P"), colors.rotate(90).convert("P"), colors.rotate(45).convert("P")]
    opened = saved(frames[0], "gif", save_all=True, append_images=frames[1:], duration=[10, 20, 30])
    opened.seek(1)
    return opened


with_info = colors.copy()
with_info.info.update(dpi=(72, 72), text="hello")
palette = Image.new("P", (4, 4), 3)
palette.putpalette([9, 8, 7] * 10)
"""
PIXELS = "[v.tobytes(), v.size, v.mode]"
CASES = {
    f"mode {mode}": (
        f"in_mode({mode!r})",
        PIXELS,
        True,
        "v.resize((3, 3), 0).size == (3, 3) and v.getpixel((0, 0)) is not None",
    )
    for mode in MODES
} | {
    "buffers": ("colors", PIXELS, True, "True", True, 97 * 61 * 3),
    "png": ("saved(colors, 'png')", PIXELS, True, "v.rotate(10).size == v.size"),
    "png with text": ("saved(with_info, 'png', dpi=(72, 72))", PIXELS, True, "round(v.info['dpi'][0]) == 72"),
    "jpeg": ("saved(colors, 'jpeg', quality=80)", PIXELS),
    "tiff": ("saved(colors, 'tiff')", PIXELS),
    "animated": ("animated()", PIXELS),
    "info": ("with_info", "[v.tobytes(), v.info]"),
    "palette": ("palette", "[v.getpalette(), v.convert('RGB').tobytes()]"),
    "empty": ("Image.new('RGB', (0, 5))", "[v.size, v.mode]"),
    "filter": ("ImageFilter.GaussianBlur(2)", "v.radius"),
    "twice": ("[colors, colors]", "v[0].tobytes()", True, "v[0] is v[1]"),
}
REFUSALS = {"drawing": ("ImageDraw.Draw(colors)", r"`value\.im` is an ImagingCore")}


def test_comes_back(zoo, case):
    assert zoo[case] == []


def test_refusal_names_the_thing(zoo, refusal):
    assert zoo[refusal] == []


def test_font_that_was_loaded_from_memory_is_named_when_it_cannot_be_read(tmp_path):
    from PIL import ImageFont

    stash = HashStash(str(tmp_path / "stash"))
    stash["font"] = ImageFont.load_default(12)
    with pytest.raises(BadEntry, match="FreeTypeFont"):
        stash["font"]
