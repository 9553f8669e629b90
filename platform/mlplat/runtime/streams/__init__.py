"""Events as they happen: a log on this computer or Kinesis, read at least once, each event used once at most.

`port` says what a stream is, `log` and `kinesis` are streams, `memory` makes a set of what arrives in any order and any
number of times, and `consumer` reads on from where it was, whenever it was killed.
"""
