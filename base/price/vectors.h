#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/price/price_book.h"
#include "base/price/vector_reader.h"

/// Runs rating cases with exact expected amounts (the format of rating-vectors.json) against the rating code.
namespace tidegate::price {

/// What the vectors try. The product is subject_under_test(); tests put deliberately wrong ones here, to see that the
/// vectors notice.
class VectorSubject {
 public:
  virtual ~VectorSubject() = default;
  /// Called once, with the file's price books and calendars.
  virtual Status load(std::vector<PriceVersion> versions, std::vector<Calendar> calendars) = 0;
  /// `basis` is what the vector says; it overrides the version's.
  virtual Result<RatedRequest> rate(const PriceKey& key, Basis basis, const Instants& instants,
                                    const TokenCounts& tokens) = 0;
  /// The same against other versions and modifiers than the file's.
  virtual Result<RatedRequest> rate_with(std::vector<PriceVersion> versions, std::vector<Modifier> modifiers,
                                         const PriceKey& key, const Instants& instants,
                                         const TokenCounts& tokens) = 0;
  /// What is held for a request admitted at `from` that ends by `until`, by the file's books.
  virtual Result<Money> worst_case(const PriceKey& key, Wall from, Wall until, std::int64_t prompt_tokens_max,
                                   std::int64_t completion_tokens_max) = 0;
  /// Whether `schedule` (one window) applies at `instant`.
  virtual Result<bool> is_inside(const Schedule& schedule, const std::vector<Calendar>& calendars, Wall instant) = 0;
  virtual Result<TokenCounts> counts(std::int64_t prompt, std::int64_t cached, std::int64_t completion,
                                     std::int64_t reasoning) = 0;
};

std::unique_ptr<VectorSubject> product_subject();

struct VectorReport {
  int passed = 0;
  int failed = 0;
  std::vector<std::string> failures;   ///< "RV-001 V3 promo, last millisecond: total is 0.41, expected 0.42"
  std::map<std::string, int> skipped;  ///< by kind: not this program's business

  /// Failures, then what was skipped, then "N passed, M failed".
  std::string to_text() const;
};

/// Runs the kinds that `run_vectors` itself does not know; nullopt = not this one either.
using ForeignKind =
    std::function<std::optional<Verdict>(std::string_view kind, const json::object& vector, VectorSubject&)>;

/// Runs the kinds rate, window, rounding, invalid, modifier, skew, and of tier and hold those about a single
/// request. Grants, leases and what happens to an event afterwards are billing's: billing/vectors. Fails when
/// the file itself cannot be read: invalid_argument/...
Result<VectorReport> run_vectors(std::string_view file_text, VectorSubject& subject,
                                 const ForeignKind& foreign = {});
inline Result<VectorReport> run_vectors(std::string_view file_text) {
  const auto subject = product_subject();
  return run_vectors(file_text, *subject);
}

}  // namespace tidegate::price
