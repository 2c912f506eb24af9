#pragma once

#include <string>

#include "base/core/money.h"

namespace tidegate::gateway {

/// What the answer prints of its bill.
struct Settlement {
  Money amount;
  std::string currency;
  std::string band;
  std::string price_version;  ///< "book/id"
  std::string receipt;        ///< signed, binary (base/receipt); empty: none was made
};

}  // namespace tidegate::gateway
