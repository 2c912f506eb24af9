#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/money.h"

/// Which grants a charge is taken from: grants before paid balance, in one order that every replica computes
/// alike.
namespace tidegate::billing {

struct GrantState {
  std::string id;             ///< uuid as text; breaks ties
  Money left;                 ///< amount less what was consumed; >= 0
  std::int64_t priority = 0;  ///< lower first
  Wall effective_at = {};
  Wall expires_at = {};             ///< exclusive: at this instant the grant is gone
  std::vector<std::string> models;  ///< it may be spent on; none = all
  bool is_voided = false;
};

/// Not posting.h's GrantUse, which is by id of the books: two types of one name would be one to the linker.
struct GrantShare {
  std::string id;
  Money amount;  ///< > 0
  bool operator==(const GrantShare&) const = default;
};

struct BurnDown {
  std::vector<GrantShare> uses;  ///< in the order they are taken
  Money paid;                  ///< what is left for the paid balance
};

/// Splits `charge` (>= 0) over the grants that may pay for `model` at `instant`, the one that decides for the
/// request: by (priority, expires_at, id), each as far as it reaches, the paid balance last. A request
/// before a grant's end may use it, however late it is posted. Sum of uses + paid = charge,
/// exactly.
BurnDown burn_down(std::vector<GrantState> grants, Money charge, Wall instant, std::string_view model);

}  // namespace tidegate::billing
