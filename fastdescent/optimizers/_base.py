"""What an update rule is: its kernels, its state and its hyper-parameters."""

from __future__ import annotations

from typing import ClassVar

from fastdescent.contracts import Kernel
from fastdescent.parts import Part

__all__ = ["Optimizer"]


class Optimizer(Part):
    """Base class of update rules.

    A rule is one file: kernels, and a class with its hyper-parameters in the order of the
    kernels' ``hyper`` rows.  Published dialects are variants, each its own kernel.
    """

    kind: ClassVar[str] = "optimizer"
    schedulable: ClassVar[bool] = True
    #: variant -> update kernel; the rule's default variant first.
    kernels: ClassVar[dict[str, Kernel]]
    #: variant -> query kernel, for variants that take the gradient away from theta.
    queries: ClassVar[dict[str, Kernel]] = {}
    #: Vectors of ``dim`` rows in the state, and scalars of one row after them.
    vectors: ClassVar[int] = 0
    scalars: ClassVar[int] = 0
    #: Rows at the end of the state that the kernel may compute in: no state, never read again.
    workspace: ClassVar[int] = 0

    @classmethod
    def _lacking(cls) -> tuple[str, str] | None:
        kernels = getattr(cls, "kernels", None)
        if (
            not isinstance(kernels, dict)
            or not kernels
            or not all(isinstance(kernel, Kernel) for kernel in kernels.values())
        ):
            way_out = 'set kernels = {"standard": update}, with update under @fd.kernel("update")'
            return "kernels", way_out
        return None

    def update_kernel(self) -> Kernel:
        """Return the update kernel of this rule's variant."""
        return self.kernels[self._variant()]

    def query_kernel(self) -> Kernel | None:
        """Return the query kernel of this rule's variant; None if it looks at theta."""
        return self.queries.get(self._variant())

    def state_rows(self, dim: int) -> int:
        """Return the number of rows of the flat state for a landscape of `dim` dimensions."""
        return self.vectors * dim + self.scalars + self.workspace

    def _variant(self) -> str:
        return getattr(self, "variant", next(iter(self.kernels)))
