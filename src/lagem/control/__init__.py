"""What the levels of a cascade control: each study is a picture and the numbers behind it."""

from lagem.control.mixing import mix
from lagem.control.noise import disturb
from lagem.control.sharing import share
from lagem.control.study import Study

__all__ = ["Study", "disturb", "mix", "share"]
