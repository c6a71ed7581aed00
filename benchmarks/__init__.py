"""Speed and memory beside the textbook, other libraries and lower bounds, as ratios in one run: `make bench`.

`__main__` is the command line; `cases` says what is compared, with which sizes and targets; `data` makes the rows;
`harness` runs a case and `worker` one contender of it, in a process of its own; `contenders` has a module for each
peer; `measuring` is what they share; `report` renders. `references` measures once what takes minutes.
"""
