"""Plain Python that gives the business its exact words: refusals, lifecycles, money, periods, clocks, ids."""
