"""Types that msgspec does not know: by the declared type, never by a name in the data."""

from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import msgspec
import pydantic
import pytest

from reactor.define.foreign import decode_foreign, encode_foreign, is_path, is_storable


class Model(pydantic.BaseModel):
    n: int


class Own:
    pass


class Holder(msgspec.Struct):
    model: Model
    models: list[Model]


def test_a_model_goes_there_and_back():
    """As plain data, inside Structs and lists."""
    holder = Holder(Model(n=1), [Model(n=2)])
    body = msgspec.msgpack.encode(holder, enc_hook=encode_foreign)
    assert msgspec.msgpack.decode(body) == {"model": {"n": 1}, "models": [{"n": 2}]}
    assert msgspec.msgpack.decode(body, type=Holder, dec_hook=decode_foreign) == holder


def test_an_instance_is_itself():
    """Of its declared type, and of a subclass."""

    class Sub(Own): ...

    own, sub = Own(), Sub()
    assert decode_foreign(Own, own) is own
    assert decode_foreign(Own, sub) is sub


@pytest.mark.parametrize("value", [3, "x", {"n": 1}, None], ids=range(4))
def test_anything_else_is_refused(value):
    """With what was expected; nothing is imported or called by a name in the data."""
    with pytest.raises(ValueError, match="Expected `Own`"):
        decode_foreign(Own, value)
    with pytest.raises(NotImplementedError, match="Own is not plain data"):
        encode_foreign(Own())


def test_another_library_s_models_serve():
    """Whoever has `model_validate` is a model; its ValueError is the problem."""

    class Odd:
        @classmethod
        def model_validate(cls, value):
            raise ValueError(f"{value} is odd")

    with pytest.raises(ValueError, match="3 is odd"):
        decode_foreign(Odd, 3)


def test_wrong_data_names_its_path():
    """Msgspec's path and pydantic's."""
    with pytest.raises(msgspec.ValidationError, match=r"\(n\) - at `\$.models\[0\]`"):
        msgspec.convert({"model": {"n": 1}, "models": [{"n": "x"}]}, Holder, dec_hook=decode_foreign)


@pytest.mark.parametrize("declared", [Path, PurePath, PurePosixPath, PureWindowsPath, type(Path())])
def test_a_path_goes_there_and_back(declared):
    """As its text, by its declared type; other text and numbers stay what they are."""
    body = msgspec.msgpack.encode(declared("a/b.txt"), enc_hook=encode_foreign)
    again = msgspec.msgpack.decode(body, type=declared, dec_hook=decode_foreign)
    assert (type(again), again) == (type(declared("x")), declared("a/b.txt"))
    with pytest.raises(msgspec.ValidationError, match=f"Expected `{declared.__name__}`, got `int`"):
        msgspec.convert(3, declared, dec_hook=decode_foreign)


def test_what_is_a_path_shows_by_its_bases():
    """Not by its name."""
    assert is_path(Path)
    assert not is_path(type("PurePath", (), {}))
    assert not is_path(Own)


def test_what_may_have_bytes():
    """A model needs both ways; False only where it is certain."""
    assert (is_storable(Model), is_storable(object), is_storable(Path)) == (True, True, True)
    assert not is_storable(Own)
    assert not is_storable(type("Half", (), {"model_validate": int}))
