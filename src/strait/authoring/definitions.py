"""What jobs and workflows have in common as definitions: a kind and a slug."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from strait.authoring.sources import Place, calling_place

if TYPE_CHECKING:
    from typing import Any, Literal

    # With a default (PEP 696), a job without a typed handler needs no annotation of its own.
    from typing_extensions import TypeVar

    TPayload = TypeVar("TPayload", default=Any)
else:
    from typing import TypeVar

    TPayload = TypeVar("TPayload")

if TYPE_CHECKING:
    from strait.authoring.flow import Flow
    from strait.authoring.plans import DefinitionPlan
    from strait.authoring.registration import Names
    from strait.errors import Json


class Definition(ABC):
    """Something that is authored here and known to the platform by its slug.

    Attributes:
        slug: its name in the project, which registration finds it by.
        id: the platform's id of it; None until it was registered.
        place: the file and the line that define it.
    """

    kind: ClassVar[Literal["job", "workflow"]]

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.id: str | None = None
        self.place: Place = calling_place()

    def __repr__(self) -> str:
        return f"<{self.kind} {self.slug!r}>"

    @abstractmethod
    def registration(self, names: Names) -> Flow[Json]:
        """Register with the client and the project of `names`; part of a larger registration."""

    @abstractmethod
    def planning(self, names: Names) -> Flow[list[DefinitionPlan]]:
        """Say what `registration` would do: one plan a definition, its own the last."""
