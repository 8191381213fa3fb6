"""Do the comparisons find faults that are planted?"""


class Planted:
    """Faults of one kind of unit, and how long each is looked for."""

    def __init__(self, kind, unit, faults, without, *, items, units, sound):
        self.kind = kind
        self.unit = unit
        self.faults = faults
        self.without = without      # the same conditions as for a fault, without the fault
        self.items = items
        self.units = units
        self.sound = sound          # units in which nothing is to be found without the fault

    def failures(self, number, settings, fault):
        """What is found in one unit."""
        return self.unit(self.kind, number, settings, fault).run(0, self.items).failures

    def found(self, settings, fault):
        """After how many units the fault was noticed; 0 if never."""
        return next((number + 1 for number in range(self.units) if self.failures(number, settings, fault)), 0)

    def verdict(self, settings, fault):
        """Whether the fault is found, and nothing without it; and what to say of it."""
        if any(self.failures(number, settings, self.without(fault)) for number in range(self.sound)):
            return False, 'something is found without it, too'
        units = self.found(settings, fault)
        return bool(units), f'found in unit {units}' if units else f'NOT found in {self.units} units'

    def test(self, settings):
        """Plants one fault after the other; returns how many were found and how many were not."""
        passed = 0
        for fault in self.faults:
            good, text = self.verdict(settings, fault)
            passed += good
            print(f'self-test: {fault.title}: {text}', flush=True)
        return passed, len(self.faults) - passed
