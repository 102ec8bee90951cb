"""The rules of {{name}}. Prices stand in the price book; here stands what is made of them."""

from farebox import define_policy, not_allowed


def price(bill, call, book):
    """`bill` begins with what the call costs at the provider; put your terms on it. `call` says what
    was used, by whom and when. Equal calls must get equal answers: use nothing else."""
    if call.feature == "not_for_sale":
        raise not_allowed("feature:not_for_sale")
    if call.is_own_key:
        bill.platform_fee(book.own_key_fixed_usd)
        return
    bill.markup("0.25", "{{name}}")


Policy = define_policy("{{name}}", "0.1.0", "Cost plus a quarter.", price)
