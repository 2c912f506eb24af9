#include "gateway/http/answer_cost.h"

#include <fmt/format.h>

#include <iterator>

#include "base/core/encoding.h"
#include "base/core/json_text.h"

namespace tidegate::gateway {

void append_cost(std::string& out, const Settlement& settlement) {
  const std::string amount = settlement.amount.to_string();
  // `cost` is a number because tools sum it; the exact text is beside it.
  fmt::format_to(std::back_inserter(out), R"("cost":{},"cost_details":{{"amount":"{}","currency":)", amount, amount);
  append_json_text(out, settlement.currency);
  out += R"(,"band":)";
  append_json_text(out, settlement.band);
  out += R"(,"price_version":)";
  append_json_text(out, settlement.price_version);
  out += '}';
}

void append_receipt_member(std::string& out, const Settlement& settlement) {
  if (settlement.receipt.empty()) return;
  out += R"(,"receipt":")";
  out += base64url_encode(settlement.receipt);
  out += '"';
}

}  // namespace tidegate::gateway
