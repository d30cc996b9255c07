"""What a call costs by the price book: LiteLLM's table, the user's own prices on top, exact to the last digit.

terms       what the user writes: own prices, discounts, margins, which number is charged
written     reading those from what the user wrote
providers   semconv and other spellings of a provider, told apart as LiteLLM does
names       the names under which a model may stand in the table
table       LiteLLM's table: from provider and model to one entry
entry       one entry: prices by field name
rates       what an entry comes down to: one price per token class
standard    from entry to rates, as LiteLLM's generic calculator does it
special     the providers for which LiteLLM does it differently
windows     off-peak hours
card        every price that may apply to one provider, model and tier, with its conditions
arithmetic  tokens times rates, for all calls at once
charge      which number is charged, and why
"""
