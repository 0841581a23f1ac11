"""Figures of matplotlib: what they draw after a round trip is the same, pixel by pixel."""

from skips import needs

needs("matplotlib")

DEFINITIONS = """
import datetime

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

SUFFIX = " units"
x = np.linspace(0, 6, 2000)


def lines():
    figure, axes = plt.subplots(2, 2, figsize=(4, 3), layout="constrained")
    axes[0, 0].plot(x, np.sin(x), "r--", label="sine")
    axes[0, 0].legend(title="legend")
    twin = axes[0, 0].twinx()
    twin.plot(x, x**2, color="green", label="square")
    axes[0, 1].scatter(x[::100], np.cos(x[::100]), c=x[::100])
    image = axes[1, 0].imshow(np.arange(12).reshape(3, 4), aspect="auto")
    figure.colorbar(image, ax=axes[1, 0])
    axes[1, 1].bar(["a", "b"], [1, 2])
    axes[1, 1].annotate("here", (0, 1), xytext=(0.5, 1.5), arrowprops={"arrowstyle": "->"})
    figure.suptitle("title $\\\\alpha$")
    return figure


def dates():
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    pd.Series([1, 3, 2], pd.date_range("2024-01-01", periods=3)).plot(ax=axes)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.1f}{SUFFIX}"))
    return figure


def shared():
    figure, (one, two) = plt.subplots(2, sharex=True, figsize=(3, 2))
    one.plot([1, 2, 3])
    two.fill_between([0, 5], [1, 2])
    two.set_xscale("log")
    return figure


def polar():
    figure = plt.figure(figsize=(3, 2))
    axes = figure.add_subplot(projection="polar")
    axes.contourf(np.arange(9.0).reshape(3, 3))
    return figure


def solid():
    figure = plt.figure(figsize=(3, 2))
    axes = figure.add_subplot(projection="3d")
    axes.plot_surface(*np.meshgrid([0, 1], [0, 1]), np.eye(2))
    return figure
"""
PIXELS = "(v.savefig((out := __import__('io').BytesIO()), format='rgba', dpi=50), out.getvalue())[1]"
CASES = {
    "lines": (
        "lines()",
        PIXELS,
        True,
        "len(v.axes) == 6 and v.axes[0].get_legend().get_title().get_text() == 'legend'",
        False,
        16_000,
    ),
    "dates": ("dates()", PIXELS, True, "v.axes[0].yaxis.get_major_formatter()(2, 0) == '2.0 units'", False),
    "shared axes": (
        "shared()",
        PIXELS,
        True,
        "(v.axes[0].set_xlim(2, 4), v.axes[1].get_xlim())[1] == (2, 4)",
        False,
    ),
    "polar": ("polar()", PIXELS, True, "v.axes[0].name == 'polar'", False),
    "3d": ("solid()", PIXELS, True, "v.axes[0].name == '3d'", False),
    "axes": (
        "lines().axes[0]",
        "v.get_title(), [line.get_ydata() for line in v.lines]",
        True,
        "v.figure.axes[0] is v",
        False,
    ),
    "figure and its axes": (
        "(lambda f: [f, f.axes[1]])(lines())",
        "len(v[0].axes)",
        True,
        "v[0].axes[1] is v[1]",
        False,
    ),
    "drawn before": ("(lambda f: (f.canvas.draw(), f)[1])(lines())", PIXELS, True, "True", False),
    "color map": ("matplotlib.colormaps['viridis']", "v(0.5)"),
    "norm": ("matplotlib.colors.LogNorm(1, 10)", "v(5)", True, "True", False),
    "path": ("matplotlib.path.Path([[0, 0], [1, 1]])", "v.vertices"),
}


def test_comes_back(zoo, case):
    assert zoo[case] == []
