"""The CUDA runtime through ctypes, held to the real library; where there is a GPU, to that."""

import numpy as np
import pytest

from segfast_edge.errors import TargetError
from targets.common.cuda import Cuda, CudaStream, CudaTensor, libraries


def found() -> list[str]:
    return list(libraries())


needs_library = pytest.mark.skipif(not found(), reason="no libcudart here: pip install nvidia-cuda-runtime-cu12")


def gpu_reason() -> str:
    try:
        Cuda.open()
    except TargetError as error:
        return str(error)
    return ""


needs_gpu = pytest.mark.skipif(bool(gpu_reason()), reason=gpu_reason() or "there is a GPU")
no_gpu = pytest.mark.skipif(not gpu_reason(), reason="there is a GPU")


def test_a_file_that_is_no_library_is_one_clear_error(tmp_path):
    path = tmp_path / "libcudart.so.12"
    with pytest.raises(TargetError, match=r"libcudart\.so\.12 does not load"):
        Cuda(path)
    path.write_bytes(b"no library")
    with pytest.raises(TargetError, match=r"libcudart\.so\.12 does not load"):
        Cuda(path)


@needs_library
@pytest.mark.parametrize("library", found())
def test_every_function_that_is_called_is_in_the_library(library):
    cuda = Cuda(library)
    assert 11 <= float(cuda.version()) < 20
    names = ("Malloc", "Free", "MallocHost", "FreeHost", "MemcpyAsync", "MemGetInfo", "GetDeviceCount")
    names += ("GetDeviceProperties", "DeviceGetAttribute", "StreamCreate", "StreamDestroy", "StreamSynchronize")
    names += ("EventCreate", "EventDestroy", "EventRecord", "EventElapsedTime", "GetErrorString")
    for name in names:
        assert getattr(cuda._functions, f"cuda{name}")


@needs_library
@no_gpu
def test_without_a_gpu_the_librarys_own_words_are_the_message():
    cuda = Cuda(found()[0])
    tries = (cuda.gpus, cuda.gpu, cuda.free_bytes, lambda: CudaTensor(cuda, (1, 2), "uint8"), lambda: CudaStream(cuda))
    for each in tries:
        with pytest.raises(TargetError, match=rf"^cuda\w+ failed: .+ \(CUDA runtime {cuda.version()}\)$"):
            each()
    with pytest.raises(TargetError, match=r"^no NVIDIA GPU that CUDA can use: cudaGetDeviceCount failed: "):
        Cuda.open()


@pytest.mark.skipif(bool(found()), reason="there is a libcudart")
def test_without_a_library_the_message_says_where_it_comes_from():
    with pytest.raises(TargetError, match=r"libcudart is missing\. On a Jetson run: sudo apt install nvidia-jetpack"):
        Cuda.open()


@needs_gpu
def test_a_tensor_goes_to_the_gpu_and_back_and_the_way_is_timed():
    cuda = Cuda.open()
    assert cuda.gpu().name
    assert float(cuda.gpu().capability) >= 5
    stream, tensor = CudaStream(cuda), CudaTensor(cuda, (1, 480, 640, 3), "uint8")
    values = np.random.default_rng(0).integers(0, 256, tensor.host.shape, np.uint8)
    np.copyto(tensor.host, values)
    stream.mark(0)
    stream.to_gpu(tensor)
    stream.mark(1)
    stream.wait()
    assert 0 < stream.marked_ms() < 1000
    tensor.host.fill(0)
    stream.from_gpu(tensor)
    stream.wait()
    np.testing.assert_array_equal(tensor.host, values)


@needs_gpu
def test_memory_comes_back_when_a_tensor_is_dropped():
    cuda = Cuda.open()
    tensor = CudaTensor(cuda, (256 << 20,), "uint8")
    held = cuda.free_bytes()
    del tensor
    assert cuda.free_bytes() - held >= 200 << 20
