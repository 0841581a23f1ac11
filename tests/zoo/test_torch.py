"""Tensors, modules and state dicts of torch, where it is installed.

As keys they count by their content. A gradient counts too, and is not stored, so that what comes back is another key;
a tensor that was computed under ``requires_grad`` leads to what it came from, and is none.
"""

import pytest

from hashstash import HashStash
from hashstash.errors import VolatileKey
from hashstash.fingerprint import Fingerprinter, alias_signature

torch = pytest.importorskip("torch")

DEFINITIONS = '''
import collections

import torch
from torch import nn

torch.manual_seed(0)
base = torch.arange(12000.0).reshape(3, 4000)


class Net(nn.Module):
    """A module of a notebook."""

    def __init__(self, width):
        super().__init__()
        self.first = nn.Linear(4, width)
        self.second = nn.Sequential(nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 2))
        self.register_buffer("steps", torch.tensor(3))
        self.tied = self.first

    def forward(self, x):
        return self.second(self.first(x)) * self.steps


net = Net(8).eval()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
net(torch.ones(1, 4)).sum().backward()
optimizer.step()
optimizer.zero_grad()
net.register_forward_hook(lambda module, inputs, output: output + 1)
'''
CASES = {
    "tensor": (
        "base",
        "v.numpy()",
        True,
        "v.dtype.is_floating_point and v.is_contiguous()",
        True,
        40000,
    ),
    "dtypes": (
        "[torch.tensor([1], dtype=d) for d in (torch.bfloat16, torch.float16, torch.int8, torch.bool, torch.complex64)]",
        "[str(one) for one in v]",
        True,
        "str(v[0].dtype) == 'torch.bfloat16'",
        True,
    ),
    "shared storage": (
        "[base, base[1], base.T]",
        "[one.numpy() for one in v]",
        True,
        "(v[0].__setitem__((1, 0), -5), v[1][0].item(), v[2][0, 1].item())[1:] == (-5, -5)",
        True,
    ),
    "views": (
        "base.T[::2, 1:]",
        "[v.numpy(), v.stride(), v.storage_offset()]",
        True,
        "True",
        True,
    ),
    "parameter": (
        "nn.Parameter(base[:, :4].clone())",
        "v.detach().numpy()",
        True,
        "v.requires_grad and type(v).__name__ == 'Parameter'",
        True,
    ),
    "gradient": (
        "torch.ones(2, requires_grad=True)",
        "v.detach().numpy()",
        True,
        "(v.sum().backward(), v.grad.tolist())[1] == [1, 1]",
        True,
    ),
    "state dict": (
        "net.state_dict()",
        "{name: one.numpy() for name, one in v.items()}",
        True,
        "type(v).__name__ == 'OrderedDict' and v['first.weight'].data_ptr() == v['tied.weight'].data_ptr()",
        True,
    ),
    "module": (
        "net",
        "[v(__import__('torch').ones(2, 4)).detach().numpy(), [name for name, _ in v.named_parameters()]]",
        True,
        "v.tied is v.first and not v.training and v.steps.item() == 3 and type(v)(3).first.out_features == 3",
        True,
    ),
    "module and optimizer": (
        "[net, optimizer]",
        "v[1].param_groups[0]['lr']",
        True,
        "v[1].param_groups[0]['params'][0] is v[0].first.weight and v[1].state[v[0].first.weight]['step'].item() == 1",
        True,
    ),
    "installed module": (
        "nn.Conv2d(1, 2, 3)",
        "v.weight.detach().numpy()",
        True,
        "v(__import__('torch').ones(1, 1, 4, 4)).shape == (1, 2, 2, 2)",
        True,
    ),
    "sizes, types and devices": (
        "[torch.Size([1, 2]), torch.float32, torch.device('cpu'), torch.strided]",
        "[str(one) for one in v]",
        True,
        "True",
        True,
    ),
    "sparse": (
        "torch.eye(3).to_sparse()",
        "v.to_dense().numpy()",
        True,
        "True",
        True,
    ),
    "quantized": (
        "torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)",
        "v.dequantize().numpy()",
        True,
        "True",
        True,
    ),
    "generator": (
        "torch.get_rng_state()",
        "v.numpy()",
        True,
        "True",
        True,
    ),
    "data set": (
        "torch.utils.data.TensorDataset(base)",
        "len(v)",
        True,
        "v[1][0][0].item() == 4000",
        True,
    ),
    "tensor with a history": (
        "torch.ones(2, requires_grad=True) * 2",
        "v.detach().numpy()",
        True,
        "v.requires_grad and v.is_leaf",
        "leads to what it was computed from",
    ),
    "generator of random numbers": (
        "torch.Generator().manual_seed(3)",
        "v.initial_seed()",
        True,
        "__import__('torch').rand(1, generator=v).item() == __import__('torch').rand(1, generator=__import__('torch').Generator().manual_seed(3)).item()",
        True,
    ),
}


def test_comes_back(zoo, case):
    assert zoo[case] == []


def digest(value):
    return Fingerprinter().digest(value)


def base():
    return torch.arange(6.0).reshape(2, 3)


SAME = {
    "strides": (lambda: base().T.contiguous().T, base),
    "a large one in another order": (
        lambda: torch.arange(90_000.0).reshape(300, 300).T.contiguous().T,
        lambda: torch.arange(90_000.0).reshape(300, 300),
    ),
    "repeated memory": (lambda: torch.ones(2).expand(3, 2), lambda: torch.ones(3, 2)),
    "a pending conjugation": (lambda: torch.tensor([1 + 1j]).conj(), lambda: torch.tensor([1 - 1j])),
    "a pending sign": (lambda: torch.tensor([1 + 1j]).conj().imag, lambda: torch.tensor([-1.0])),
    "a view of a larger storage": (lambda: torch.arange(9.0)[3:5], lambda: torch.tensor([3.0, 4.0])),
}
DIFFERENT = {
    "content": lambda: base() + 1,
    "dtype": lambda: base().view(torch.int32),
    "shape": lambda: base().reshape(3, 2),
    "requires_grad": lambda: base().requires_grad_(),
    "class": lambda: torch.nn.Parameter(base(), requires_grad=False),
    "layout": lambda: base().to_sparse(),
    "the compressed side": lambda: base().to_sparse_csr(),
    "the other compressed side": lambda: base().to_sparse_csc(),
    "device": lambda: base().to("meta"),
    "scale": lambda: torch.quantize_per_tensor(base(), 1.0, 0, torch.qint8),
    "another scale": lambda: torch.quantize_per_tensor(base() * 2, 2.0, 0, torch.qint8),
    "storage": lambda: base().untyped_storage(),
    "sum of two parts": lambda: torch.sparse_coo_tensor([[0, 0]], [1.0, 2.0], (2,)),
    "one part": lambda: torch.sparse_coo_tensor([[0]], [3.0], (2,)),
}


@pytest.mark.parametrize("name", SAME)
def test_does_not_count(name):
    one, other = SAME[name]
    assert digest(one()) == digest(other())


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning", "ignore:torch.quantize:UserWarning")
def test_all_else_counts():
    digests = {name: digest(make()) for name, make in {"base": base, **DIFFERENT}.items()}
    assert len(set(digests.values())) == len(DIFFERENT) + 1, digests


def test_gradient_counts():
    """A function can read it."""
    tensor = torch.ones(2, requires_grad=True)
    before = digest(tensor)
    tensor.sum().backward()
    assert digest(tensor) != before


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested:UserWarning")
@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: torch.ones(2, requires_grad=True) * 2, "detach"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "it is nested"),
        (lambda: (tensor := torch.ones(5)).untyped_storage().resize_(0) is None or tensor, "made smaller"),
    ],
    ids=["history", "nested", "freed"],
)
def test_is_no_key(tmp_path, make, words):
    with pytest.raises(VolatileKey, match=words):
        HashStash(str(tmp_path / "stash"))[make()] = 1


def test_batched_tensor_is_no_key():
    def look(row):
        with pytest.raises(VolatileKey, match="cannot be read"):
            digest(row)
        return row

    torch.vmap(look)(base())


def test_subclass_does_not_answer_for_its_tensor():
    class Wrong(torch.Tensor):
        @classmethod
        def __torch_function__(cls, *args, **kwargs):
            raise AssertionError("asked")

    assert digest(torch.ones(2).as_subclass(Wrong)) != digest(torch.zeros(2).as_subclass(Wrong))


def test_shared_memory_counts():
    tensor = base()
    views = [[tensor, tensor.clone()], [tensor, tensor[:]], [tensor, tensor[1:]], [tensor, tensor[1].clone()]]
    assert len({digest(view) for view in views}) == 4


def test_shared_memory_of_two_values_counts():
    def signed(one, other):
        walker = Fingerprinter()
        return alias_signature({"a": walker.walk(one), "b": walker.walk(other)})

    tensor = base()
    assert signed(tensor, tensor[1]) != signed(tensor, tensor[1].clone())
    assert signed(tensor[0], tensor[1]) == signed(tensor, tensor.clone())


def test_large_sparse_tensor_is_an_argument(tmp_path):
    stash, calls = HashStash(str(tmp_path / "stash")), []

    def total(tensor):
        calls.append(1)
        return tensor.sum().item()

    sparse = torch.ones(300, 300).to_sparse()
    assert [stash.run(total, sparse), stash.run(total, sparse.clone())] == [90_000, 90_000]
    assert len(calls) == 1
