# Debian's ruby-paranoia 3 lacks this file of the gem, and does not load without it.  What it has is
# of belongs_to and has_one with `dependent`, which no scenario plays.
