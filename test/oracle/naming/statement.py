"""Statements as pieces: text, references to objects whose names differ between the sides, and names to be judged."""

from dataclasses import dataclass, field

from .quoting import quote
from .templates import clip, LIMIT

@dataclass(eq=False)
class Ref:
    """The name of a constraint or an index that is there; each side has its own."""

    oid: int        # on the plain side


@dataclass(eq=False)
class Named:
    """A name that a statement gives explicitly."""

    thing: object           # what gets it
    text: str
    judged: bool = True     # not so for temporary tables and the like
    oid: int = 0            # on the plain side, of what is renamed

    @property
    def name(self):
        """The name as the scanner leaves it."""
        return clip(self.text, LIMIT)


@dataclass
class Statement:
    """One thing to say to both sides."""

    pieces: list
    kind: str
    like: list = field(default_factory=list)    # relations (of the plain side) that LIKE copies from
    recreates: bool = False     # constraints may be made anew under their names
    renames: bool = False       # a table or a column gets another name
    alone: bool = False         # cannot run in a transaction
    clear: bool = False         # drops so much that nothing is known of what was there

    @property
    def named(self):
        """The names that it gives."""
        return [piece for piece in self.pieces if isinstance(piece, Named)]

    def sql(self, names):
        """The text for a side; names is a function from an object's oid on the plain side to its name."""
        return ''.join(piece if isinstance(piece, str)
                       else quote(piece.text) if isinstance(piece, Named)
                       else quote(names(piece.oid)) for piece in self.pieces)

    def wrapped(self, before, after, kind):
        """The same between two texts; quotes within are the caller's matter."""
        return Statement([before, *self.pieces, after], kind, self.like, self.recreates, self.renames, self.alone,
                         self.clear)


def joined(separator, parts):
    """Lists of pieces with text between them."""
    result = []
    for number, part in enumerate(parts):
        result += [separator] * bool(number) + part
    return result
