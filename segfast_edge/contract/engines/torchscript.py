"""TorchScript in torch: the one engine that needs torch, so no car bundle takes it unless asked."""

from segfast_edge.contract.engines import Engine

ENGINE = Engine(title="torch", modules=("torch",), packages=(("torch>=2.2",),), gpu="possible", imports_torch=True)
