#pragma once

#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/price/vectors.h"

namespace tidegate::billing {

/// PostgreSQL as the rater of the vectors: prices lie in its tables, `price_version_of` chooses and `rerate` rates, on
/// its zone data and its arithmetic. Holds and counts are not SQL's business and go to the product.
class SqlRater final : public price::VectorSubject {
 public:
  /// The database has the schema and no prices. Everything stays in `tx`, whose end forgets it.
  explicit SqlRater(pqxx::work& tx) : tx_(tx), product_(price::product_subject()) {}

  Status load(std::vector<price::PriceVersion> versions, std::vector<price::Calendar> calendars) override;
  Result<price::RatedRequest> rate(const price::PriceKey& key, price::Basis basis, const price::Instants& instants,
                                   const price::TokenCounts& tokens) override;
  Result<price::RatedRequest> rate_with(std::vector<price::PriceVersion> versions, std::vector<price::Modifier> modifiers,
                                        const price::PriceKey& key, const price::Instants& instants,
                                        const price::TokenCounts& tokens) override;
  Result<Money> worst_case(const price::PriceKey& key, Wall from, Wall until, std::int64_t prompt_tokens_max,
                           std::int64_t completion_tokens_max) override {
    return product_->worst_case(key, from, until, prompt_tokens_max, completion_tokens_max);
  }
  Result<bool> is_inside(const price::Schedule& schedule, const std::vector<price::Calendar>& calendars,
                         Wall instant) override;
  Result<price::TokenCounts> counts(std::int64_t prompt, std::int64_t cached, std::int64_t completion,
                                    std::int64_t reasoning) override {
    return product_->counts(prompt, cached, completion, reasoning);
  }

 private:
  Result<price::RatedRequest> rate_now(const price::PriceKey& key, const price::Instants& instants,
                                       const price::TokenCounts& tokens);

  pqxx::work& tx_;
  std::unique_ptr<price::VectorSubject> product_;
};

}  // namespace tidegate::billing
