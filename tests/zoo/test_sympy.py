"""Expressions of sympy, whose parts are unique objects."""

from skips import needs

needs("sympy")

DEFINITIONS = '''
import sympy as sp
from sympy.abc import x, y

n = sp.Symbol("n", integer=True, positive=True)
f = sp.Function("f")
theory = sp.Matrix([[x, n], [sp.pi, sp.Rational(1, 3)]])


class Twice(sp.Function):
    """A function of a notebook."""

    @classmethod
    def eval(cls, v):
        return 2 * v if v.is_Number else None


compiled = sp.lambdify((x, y), sp.sin(x) + y**2, "numpy")
'''
CASES = {
    "symbol": ("x", "str(v)", True, "v == __import__('sympy').Symbol('x')"),
    "assumptions": ("n", "v.assumptions0", True, "v.is_positive and v != __import__('sympy').Symbol('n')"),
    "expression": (
        "sp.exp(x) * sp.cos(y)**2 + n / 3",
        "str(v)",
        True,
        "v.diff(__import__('sympy').Symbol('x')).has(__import__('sympy').exp)",
    ),
    "integral": (
        "sp.Integral(sp.exp(-x**2), (x, -sp.oo, sp.oo))",
        "str(v)",
        True,
        "v.doit() == __import__('sympy').sqrt(__import__('sympy').pi)",
    ),
    "matrix": ("theory", "[str(v), v.shape]", True, "v.det().has(__import__('sympy').pi) and v.T.T == v"),
    "immutable matrix": ("sp.ImmutableMatrix(theory)", "str(v)", True, "hash(v) is not None"),
    "equation": (
        "sp.Eq(f(x).diff(x), f(x))",
        "str(v)",
        True,
        "str(__import__('sympy').dsolve(v)) == 'Eq(f(x), C1*exp(x))'",
    ),
    "constants": (
        "[sp.pi, sp.E, sp.oo, sp.I, sp.S.Half, sp.nan]",
        "str(v)",
        True,
        "v[0] is __import__('sympy').pi and v[4] is __import__('sympy').S.Half",
    ),
    "dummy": ("(lambda d: d + d**2)(sp.Dummy('d'))", "str(v)", True, "len(v.free_symbols) == 1"),
    "polynomial": ("sp.Poly(x**3 - 1, x)", "[str(v), v.degree()]", True, "str(v.factor_list()).count('Poly') == 2"),
    "piecewise": ("sp.Piecewise((x, x > 0), (0, True))", "str(v)"),
    "sum": ("sp.Sum(1 / n**2, (n, 1, sp.oo))", "str(v)", True, "v.doit() == __import__('sympy').pi**2 / 6"),
    "set": ("sp.Interval(0, 1) + sp.FiniteSet(5)", "str(v)", True, "5 in v and 3 not in v"),
    "logic": ("(x > 1) & (y < 2)", "str(v)"),
    "undefined function": ("f(x, y).diff(x)", "str(v)"),
    "function of a notebook": (
        "Twice(x) + 1",
        "str(v)",
        True,
        "str(v.subs(__import__('sympy').Symbol('x'), 4)) == '9'",
    ),
    "lambdify": ("compiled", "v(0.5, 2)", True, "v(0, 3) == 9"),
    "units": ("__import__('sympy.physics.units', fromlist=['x']).meter * 3", "str(v)"),
}


def test_comes_back(zoo, case):
    assert zoo[case] == []
