from segfast_edge.api import Artifact as Artifact
from segfast_edge.api import Model as Model
from segfast_edge.api import Result as Result
from segfast_edge.api import benchmark as benchmark
from segfast_edge.api import bundle as bundle
from segfast_edge.api import convert as convert
from segfast_edge.api import evaluate as evaluate
from segfast_edge.api import load as load
from segfast_edge.api import profile as profile
from segfast_edge.api import train as train
from segfast_edge.errors import SegfastError as SegfastError

__version__: str
DEVICE_PYTHON: tuple[int, int]
