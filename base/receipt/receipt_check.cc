#include "base/receipt/receipt_check.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidegate::receipt {
namespace {

/// Between the last receipt of a retired key and the moment its successor is known to billing; also the bound
/// on a gateway's clock error, twice.
constexpr std::int64_t kRetirementSlackUs = 60'000'000;

/// A receipt is anybody's bytes until its arithmetic is checked, and a sum beyond the range of Money aborts: a trillion
/// of trillions a line stays inside of it.
constexpr Money kLineAmountMax =
    Money::from_pico(static_cast<Int128>(1'000'000'000'000'000'000) * 1'000'000'000'000'000'000);
static_assert(kLinesMax < 100, "lines of the largest amount sum to less than 10^38 pico");

std::unexpected<Error> bad_arithmetic(std::string field, std::string words) {
  return fail(Code::kDataLoss, "bad_arithmetic", std::move(words), std::move(field));
}

std::string place(const Receipt& receipt) {
  return fmt::format("gateway {} epoch {} number {}", receipt.gateway_id, receipt.epoch, receipt.sequence);
}

}  // namespace

Status verify_receipt(const SignedReceipt& receipt, const KeyRing& keys) {
  const auto found = keys.find(receipt.envelope.key_id);
  if (found == keys.end()) {
    return fail(Code::kNotFound, "unknown_key",
                fmt::format("it names key {}, which is not among the {} given", receipt.envelope.key_id, keys.size()),
                "key_id");
  }
  const PublishedKey& published = found->second;
  TG_TRY(verify_signature(receipt.envelope, published.key));
  if (!published.signer.empty() && published.signer != "gateway/" + receipt.receipt.gateway_id) {
    return fail(Code::kFailedPrecondition, "wrong_signer",
                fmt::format("key {} belongs to {}, the receipt says gateway {}", found->first, published.signer,
                            receipt.receipt.gateway_id),
                "gateway_id");
  }
  if (published.valid_to_us && receipt.receipt.completed_us > *published.valid_to_us + kRetirementSlackUs) {
    return fail(Code::kFailedPrecondition, "key_retired",
                fmt::format("key {} was retired before this request completed", found->first), "completed_at");
  }
  return {};
}

Status check_arithmetic(const Receipt& r) {
  if (r.prompt_tokens < 0 || r.completion_tokens < 0 || r.cached_tokens < 0 || r.reasoning_tokens < 0) {
    return bad_arithmetic("tokens", "a token count is negative");
  }
  if (r.cached_tokens > r.prompt_tokens) {
    return bad_arithmetic("cached_tokens",
                          fmt::format("{} cached of {} prompt tokens", r.cached_tokens, r.prompt_tokens));
  }
  if (r.reasoning_tokens > r.completion_tokens) {
    return bad_arithmetic("reasoning_tokens",
                          fmt::format("{} reasoning of {} completion tokens", r.reasoning_tokens, r.completion_tokens));
  }
  if (r.admitted_us > r.started_us || r.started_us > r.completed_us) {
    return bad_arithmetic("started_at", "admitted, started and completed are not in order");
  }
  Money sum;
  Int128 tokens = 0;
  for (const Line& line : r.lines) {
    if (line.quantity < 0 || line.rate.micro_per_million() < 0) {
      return bad_arithmetic("lines", fmt::format("line {} has a negative quantity or rate", line.meter));
    }
    if (line.amount > kLineAmountMax || line.amount < -kLineAmountMax) {
      return bad_arithmetic("lines", fmt::format("line {} has the amount {}, the most is {}", line.meter,
                                                 line.amount.to_string(), kLineAmountMax.to_string()));
    }
    if (line.terms.empty() && line.rate.amount(line.quantity) != line.amount) {
      return bad_arithmetic("lines", fmt::format("line {}: {} x {} per million is {}, not {}", line.meter,
                                                 line.quantity, line.rate.to_string(),
                                                 line.rate.amount(line.quantity).to_string(), line.amount.to_string()));
    }
    sum += line.amount;
    tokens += line.quantity;
  }
  if (sum != r.amount) {
    return bad_arithmetic(
        "amount", fmt::format("the lines sum to {}, the receipt says {}", sum.to_string(), r.amount.to_string()));
  }
  const Int128 wanted = static_cast<Int128>(r.prompt_tokens) + r.completion_tokens;
  if (tokens != wanted) {
    return bad_arithmetic("lines", fmt::format("the lines count {} tokens, the receipt says {}",
                                               int128_to_string(tokens), int128_to_string(wanted)));
  }
  return {};
}

Status ChainCheck::add(const SignedReceipt& receipt) {
  const Receipt& r = receipt.receipt;
  const Seen seen{link_of(receipt.envelope.body), r.previous};
  if (r.sequence == 0 || (r.sequence == 1 && r.previous != Digest{})) {
    return fail(Code::kDataLoss, "bad_genesis", fmt::format("{} cannot have a predecessor", place(r)), "previous");
  }
  auto& chain = chains_[{r.gateway_id, r.epoch}];
  const auto [at, is_new] = chain.emplace(r.sequence, seen);
  if (!is_new) {
    if (at->second.link == seen.link) return {};
    return fail(Code::kDataLoss, "chain_fork", fmt::format("{} was given to two different receipts", place(r)),
                "sequence");
  }
  ++receipts_;
  if (const auto before = chain.find(r.sequence - 1); before != chain.end()) {
    ++links_;
    if (before->second.link != r.previous) {
      return fail(Code::kDataLoss, "chain_broken", fmt::format("{} does not follow the receipt before it", place(r)),
                  "previous");
    }
  }
  if (const auto after = chain.find(r.sequence + 1); after != chain.end()) {
    ++links_;
    if (after->second.previous != seen.link) {
      return fail(Code::kDataLoss, "chain_broken", fmt::format("the receipt after {} does not follow it", place(r)),
                  "previous");
    }
  }
  return {};
}

bool ChainCheck::is_complete() const {
  return std::ranges::all_of(chains_, [](const auto& entry) {
    return entry.second.begin()->first == 1 && entry.second.rbegin()->first == entry.second.size();
  });
}

}  // namespace tidegate::receipt
