"""What is told to the sides."""

from dataclasses import dataclass


@dataclass
class Step:
    """One statement."""

    sql: str
    kind: str               # for the summary
    twin: str = ''          # where the twin needs another statement to do the same
    compare: str = 'all'    # 'count': of the tag only the number of rows; 'state': only the SQLSTATE
    mere: bool = False      # deletes softly and does nothing else
    deletes: bool = False   # deletes, among other things
    guarded: bool = False   # a savepoint around it
    frame: bool = False     # BEGIN, SAVEPOINT and the like

    def __post_init__(self):
        self.deletes |= self.mere

    def on(self, side, plain):
        """The statement for a side."""
        return self.twin if self.twin and (plain or side == 'twin') else self.sql
