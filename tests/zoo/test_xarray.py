"""Labelled arrays of xarray."""

from skips import needs

needs("xarray")

DEFINITIONS = """
import numpy as np
import pandas as pd
import xarray as xr

array = xr.DataArray(
    np.arange(2400.0).reshape(2, 1200),
    dims=("t", "x"),
    coords={"t": pd.date_range("2024-01-01", periods=2), "x": np.arange(1200), "label": ("t", ["a", "b"]), "scalar": 3},
    name="field",
    attrs={"units": "K", "list": [1, 2]},
)
dataset = xr.Dataset(
    {"field": array, "count": ("t", [1, 2]), "text": ("t", ["p", "q"]), "zero": 0},
    coords={"extra": ("x", np.arange(1200) * 2)},
    attrs={"title": "made"},
)
dataset["field"].encoding = {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -1}
stacked = array.isel(x=slice(0, 3)).stack(z=("t", "x"))


@xr.register_dataarray_accessor("doubled_values")
class Doubled:
    def __init__(self, array):
        self.array = array


array.doubled_values
tree = xr.DataTree.from_dict({"/": dataset, "/child": xr.Dataset({"v": 1})})
"""
CASES = {
    "array": (
        "array",
        "[v.values, v.dims, v.name, v.attrs, v.sel(x=3).mean().item(), v['label'].values]",
        True,
        "v.coords['t'].dtype.kind == 'M' and v.indexes['x'][5] == 5 and v['scalar'] == 3 and v.copy().identical(v)",
        True,
        19_200,
    ),
    "dataset": (
        "dataset",
        "[v.to_dataframe().shape, v['field'].values, v['text'].values, v.attrs, dict(v.sizes), list(v.data_vars)]",
        True,
        "v['field'].encoding['dtype'] == 'int16' and v.groupby('label').sum()['count'].values.tolist() == [1, 2]",
    ),
    "stacked": ("stacked", "[v.values, v.unstack('z').values]", True, "v.indexes['z'].nlevels == 2"),
    "view": ("array.isel(x=slice(10, 20))", "v.values"),
    "shared memory": (
        "[array, array.isel(x=slice(0, 5))]",
        "v[1].values",
        True,
        "(v[0].__setitem__(dict(t=0, x=1), -7), v[1].values[0, 1])[1] == -7",
        False,
    ),
    "missing": ("array.where(array > 5)", "[int(v.isnull().sum()), v.values]"),
    "grouped": ("dataset.mean('x')", "v['field'].values"),
    "variable": ("array.variable", "[v.values, v.dims, v.attrs]"),
    "tree": ("tree", "[v['child']['v'].item(), v['field'].values]", True, "v['/child'].parent is v"),
    "resampler": ("array.rolling(x=2)", "v.mean().values"),
}


def test_comes_back(zoo, case):
    assert zoo[case] == []
