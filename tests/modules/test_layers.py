"""Layers of a module are found by name, read and replaced, and the module is left as it was."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch")

from rhohat.modules.layers import evaluating, find_layer, reading, replacing, run  # noqa: E402

Pair = namedtuple("Pair", "first second")


class Returning(torch.nn.Module):
    """A layer that returns its input and twice that, in a container."""

    def __init__(self, container):
        super().__init__()
        self.container = container

    def forward(self, x, *, scale=2.0):
        return self.container(x, scale * x)


class Summing(torch.nn.Module):
    def forward(self, parts):
        first, second = parts.values() if isinstance(parts, dict) else parts
        return first + 10 * second


def in_a_tuple(a, b):
    return a, b


def in_a_list(a, b):
    return [a, b]


def in_a_dict(a, b):
    return OrderedDict(first=a, second=b)


def after_a_number(a, b):
    return 3, Pair(a, b)[1]


def network(container=in_a_tuple):
    return torch.nn.Sequential(
        OrderedDict(start=torch.nn.Linear(3, 3), middle=Returning(container), end=Summing()),
    )


def model_output():
    """A container as Transformers has it: a dict whose keys are attributes as well."""
    generic = pytest.importorskip("transformers.utils.generic")

    @dataclass
    class Output(generic.ModelOutput):
        first: torch.Tensor | None = None
        second: torch.Tensor | None = None

    return Output


@pytest.fixture(name="batch")
def rows():
    torch.manual_seed(0)
    return torch.randn(4, 3)


def test_a_layer_is_found_by_its_name_and_the_module_itself_by_the_empty_one():
    module = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()))
    assert find_layer(module, "0.1") is module[0][1]
    assert find_layer(module, "") is module


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("layer.0", r"no layer named 'layer.0'; its layers are 'encoder', .* Did you mean 'encoder.layer.0'"),
        ("encodr", "Did you mean 'encoder'"),
        ("zzz", r"'encoder.layer.1'\.$"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_answered_with_similar_ones_and_with_those_that_there_are(name, said):
    layers = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    module = torch.nn.ModuleDict({"encoder": torch.nn.ModuleDict({"layer": layers})})
    with pytest.raises(ValueError, match=said):
        find_layer(module, name)


def test_many_layers_are_not_all_listed():
    module = torch.nn.Sequential(*(torch.nn.ReLU() for _ in range(50)))
    with pytest.raises(ValueError, match=r"'29', … \(50 in all\)\.$"):
        find_layer(module, "none")
    with pytest.raises(ValueError, match="no layers but itself"):
        find_layer(torch.nn.ReLU(), "0")


def test_what_is_no_module_or_no_name_is_refused():
    with pytest.raises(TypeError, match=r"module must be a torch.nn.Module; got .* int"):
        find_layer(3, "0")
    with pytest.raises(TypeError, match=r"layer must be the name .* got 5"):
        find_layer(torch.nn.ReLU(), 5)
    with (
        pytest.raises(ValueError, match="of must be 'output' or 'input'; got 'both'"),
        reading(network(), "end", of="both"),
    ):
        pass


def test_the_output_and_the_input_of_layers_are_read(batch):
    module = network()
    with reading(module, ["start", "end"]) as outputs, reading(module, "middle", of="input") as inputs:
        result = run(module, batch)
    assert outputs["end"] is result
    assert torch.equal(outputs["start"], module.start(batch))
    assert torch.equal(inputs["middle"], module.start(batch))
    assert outputs.n_runs == {"start": 1, "end": 1}


@pytest.mark.parametrize("container", [in_a_tuple, in_a_list, in_a_dict, Pair, "ModelOutput"])
@pytest.mark.parametrize("item", [None, 0, 1])
def test_a_tensor_in_a_container_is_read_and_replaced_in_a_container_of_the_same_kind(batch, container, item):
    module = network(model_output() if container == "ModelOutput" else container)
    plain = module.start(batch)
    with reading(module, "middle", item=item) as read:
        module(batch)
    assert torch.equal(read["middle"], 2 * plain if item == 1 else plain)
    seen = []
    module.middle.register_forward_hook(lambda _, __, output: seen.append(output))
    with replacing(module, "middle", torch.zeros_like, item=item):
        after = []
        handle = module.end.register_forward_pre_hook(lambda _, args: after.append(args[0]))
        result = module(batch)
        handle.remove()
    assert torch.equal(result, plain if item == 1 else 20 * plain)
    assert type(after[0]) is type(seen[0])
    assert torch.equal(module(batch), plain + 10 * (2 * plain)), "the hook is gone, and nothing was changed in place"


def test_an_item_may_be_named_by_its_key(batch):
    module = network(in_a_dict)
    with reading(module, "middle", item="second") as read:
        module(batch)
    assert torch.equal(read["middle"], 2 * module.start(batch))


def test_the_first_tensor_is_taken_where_something_else_comes_before(batch):
    layer = Returning(after_a_number)
    with reading(layer, "") as read:
        layer(batch)
    assert torch.equal(read[""], 2 * batch)


def test_arguments_by_name_and_by_place_are_read_and_replaced(batch):
    layer = Returning(in_a_tuple)
    with reading(layer, "", of="input") as first, reading(layer, "", of="input", item="scale") as second:
        layer(x=batch, scale=torch.tensor(3.0))
    assert first[""] is batch
    assert second[""] == 3
    with replacing(layer, "", torch.neg, of="input", item="scale"):
        assert torch.equal(layer(batch, scale=torch.tensor(3.0))[1], -3 * batch)
    with replacing(layer, "", torch.neg, of="input"):
        assert torch.equal(layer(batch)[0], -batch)


@pytest.mark.parametrize(
    ("of", "item", "said"),
    [
        ("output", 2, r"the output of the layer 'middle' has no tensor as item 2; the items that are tensors: 0, 1\."),
        ("output", "x", "no tensor as item 'x'"),
        ("input", "x", "the input of the layer 'middle' has no tensor as item 'x'; .*: 0"),
    ],
)
def test_an_item_that_is_not_there_is_named_with_those_that_are(batch, of, item, said):
    module = network()
    with reading(module, "middle", of=of, item=item), pytest.raises(ValueError, match=said):
        module(batch)
    module(batch)


def test_a_layer_without_a_tensor_is_refused(batch):
    module = Returning(lambda a, b: "words")
    with (
        reading(module, ""),
        pytest.raises(ValueError, match=r"the output of the module is an object of the class str"),
    ):
        module(batch)


def test_a_layer_that_has_not_run_is_named(batch):
    module = network()
    module.unused = torch.nn.ReLU()
    module.forward = lambda x: module.start(x)
    with reading(module, ["start", "unused"]) as read:
        module(batch)
        with pytest.raises(ValueError, match="the layer 'unused' has not run"):
            read["unused"]
        assert len(read) == 1
        read.clear()
        assert len(read) == 0
        assert read.n_runs["start"] == 0


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x[:, :2], r"must have its shape, \(4, 3\); .* shape \(4, 2\)"),
        (lambda x: x.double(), r"must have its dtype, torch.float32; .* torch.float64"),
        (lambda x: x.numpy(), r"must be a tensor; .* ndarray"),
    ],
)
def test_what_cannot_take_the_place_of_an_output_is_refused_and_the_hook_removed(batch, function, said):
    module = network().eval().requires_grad_(False)
    plain = module(batch)
    with pytest.raises(ValueError, match=said), replacing(module, "start", function):
        module(batch)
    assert torch.equal(module(batch), plain)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_hooks_are_removed_and_modes_restored_whatever_happens(batch, error):
    module = network()
    module.start.eval()

    def fail(_):
        raise error

    with (  # noqa: PT012 - the blocks are what is tested
        pytest.raises(error),
        evaluating(module),
        reading(module, ["middle", "end"]),
        reading(module, "start", of="input"),
        replacing(module, "start", fail),
    ):
        assert not module.training
        module(batch)
    assert torch.is_grad_enabled()
    assert [layer.training for layer in module.modules()] == [True, False, True, True]
    for layer in module.modules():
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks


def test_if_one_of_several_layers_does_not_exist_none_is_watched():
    module = network()
    with pytest.raises(ValueError, match="no layer named 'last'"), reading(module, ["start", "last"]):
        pass
    assert not module.start._forward_hooks


def test_gradients_pass_through_what_is_read_and_replaced(batch):
    module = network()
    direction = torch.ones(3, requires_grad=True)
    with replacing(module, "start", lambda x: x + direction), reading(module, "start") as read:
        module(batch).sum().backward()
    assert torch.equal(direction.grad, torch.full((3,), 21.0 * 4))
    assert read["start"].requires_grad
    assert module.start.weight.grad is not None
    assert module.training


def test_a_pass_can_be_lastd_early_by_an_exception_of_ones_own(batch):
    class Enough(Exception):  # noqa: N818 - it is no error
        pass

    module, ran = network(), []
    module.end.register_forward_hook(lambda *_: ran.append(True))

    def stop():
        raise Enough

    with reading(module, "start", then=stop) as read:
        with pytest.raises(Enough):
            module(batch)
        assert torch.equal(read["start"], module.start.forward(batch))
    assert not ran


@pytest.mark.parametrize("batch_of", [lambda x: x, lambda x: (x,), lambda x: [x], lambda x: {"x": x}])
def test_a_batch_is_an_argument_or_several_or_named_ones(batch, batch_of):
    assert torch.equal(run(Returning(in_a_tuple), batch_of(batch))[1], 2 * batch)
