#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "base/price/price_book.h"

/// Decides what publishing a price file means, before anything is written.
namespace tidegate::billing {

struct PriceEnd {
  std::int64_t id = 0;
  std::optional<Wall> effective_to;
};

/// What a price file says. Tenants are ids by now, not names.
struct PriceDraft {
  std::vector<price::PriceVersion> versions;
  std::vector<price::Calendar> calendars;
  std::vector<price::Modifier> modifiers = {};
};

struct PricePlan {
  std::vector<price::Calendar> calendars;   ///< to add, with their versions
  std::vector<price::PriceVersion> add;     ///< id 0; schedules name calendar versions
  std::vector<PriceEnd> ends;               ///< published versions whose end moves
  std::vector<price::Modifier> add_modifiers;  ///< id 0
  std::vector<PriceEnd> modifier_ends;
  int unchanged = 0;  ///< versions and modifiers

  bool is_empty() const {
    return calendars.empty() && add.empty() && ends.empty() && add_modifiers.empty() && modifier_ends.empty();
  }
};

/// `published` is what is in force or scheduled or past, with all calendar versions. A version is recognised by (book,
/// model, currency, region, pool, effective_from). The same content is left alone; another end is accepted while both
/// ends lie beyond `now + lead`; other content under the same identity is refused. A new version that would take over
/// from one in force starts at `now + lead` at the earliest, so that requests admitted under the old price have ended. A
/// contract takes over from the list and from its own tenant's contracts, a list never from a contract. A modifier
/// (recognised by name, tenant, model and effective_from) always changes prices in force and waits for the lead.
/// Fails: invalid_argument/bad_price.
Result<PricePlan> plan_publication(const price::PriceBook& published, PriceDraft draft, Wall now, Duration lead);

/// Taking back what is published and has not begun.
struct WithdrawalPlan {
  price::PriceVersion withdrawn;
  std::optional<PriceEnd> resumed;  ///< what it would have taken over from goes on until its end
};
/// Fails: not_found/unknown_price, failed_precondition/price_in_force (it has begun, or will within `lead`), and what
/// PriceBook::build says of the rest.
Result<WithdrawalPlan> plan_withdrawal(const price::PriceBook& published, std::int64_t version, Wall now, Duration lead);
/// Fails: not_found/unknown_modifier, failed_precondition/price_in_force.
Result<price::Modifier> plan_modifier_withdrawal(const price::PriceBook& published, std::int64_t modifier, Wall now,
                                                 Duration lead);

/// What rates usage of [from, to) as if the draft had been in force throughout: its prices take the places (model,
/// currency, region, pool, tenant) they name, the earliest of each place from `from` on; its modifiers likewise, in place
/// of published ones of the same name. Everything else stays as published. Fails: invalid_argument/bad_price (also when
/// a place has no draft price up to `to`), invalid_argument/bad_range.
Result<price::PriceBook> preview_book(const price::PriceBook& published, PriceDraft draft, Wall from, Wall to);

/// Text that is equal exactly when two versions are the same offer (the id is left out). Hashed when stored.
std::string canonical_text(const price::PriceVersion& version);

}  // namespace tidegate::billing
