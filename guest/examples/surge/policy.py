"""Surge pricing by declared capacity. The operator declares how much of a region's capacity is in use,
as facts beside the call; where little is left, calls cost more. A price book has no facts."""

from farebox import define_policy, exact, not_allowed, out_of_range

# What every call pays on top of its cost.
MARKUP = "0.25"

# From which share of the capacity on, what a call costs more. The dearest comes last.
SURGES = [("0.7", "0.1"), ("0.85", "0.3"), ("0.95", "0.75")]

# Above this share only these plans are still served.
RESERVED_ABOVE = "0.98"
RESERVED_FOR = ("enterprise",)

# The fact that declares the share in use: of a region, else of all of them.
FACT = "capacity_used"


def price(bill, call, book):
    used = used_share(call)
    if used > exact(RESERVED_ABOVE) and call.plan not in RESERVED_FOR:
        raise not_allowed("capacity:reserved")
    if call.is_own_key:
        bill.platform_fee(book.own_key_fixed_usd)
        return
    bill.markup(MARKUP, "surge:base")
    # A quote must hold whatever the capacity is when the call runs.
    reached = SURGES if call.is_quote else [each for each in SURGES if used >= exact(each[0])]
    if reached:
        above, share = reached[-1]
        bill.markup(share, "surge", capacity_above=above, region=call.region or "any")


def used_share(call):
    named = call.fact(f"{FACT}:{call.region}") if call.region else None
    text = named or call.fact(FACT) or "0"
    try:
        used = exact(text)
    except ValueError:
        raise out_of_range(f"{FACT} is `{text}`") from None
    if not exact(0) <= used <= exact(1):
        raise out_of_range(f"{FACT} is `{text}`")
    return used


Policy = define_policy(
    "surge", "1.0.0", "Cost plus a quarter, and more where capacity runs out.", price
)
