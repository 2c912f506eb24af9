#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/money.h"
#include "base/core/result.h"
#include "base/net/asio.h"
#include "gateway/core/idempotency.h"
#include "gateway/core/key_policy.h"
#include "gateway/core/service_tier.h"
#include "gateway/core/settlement.h"
#include "gateway/core/usage.h"

/// What the gateway's edge (http/, rpc/) needs from its other halves. Fakes are in tests/support/gateway.
namespace tidegate::gateway {

/// Who is calling, resolved from an API key. Immutable; a change makes a new one.
struct Principal {
  ApiKeyId key;
  std::string public_id;
  TenantId tenant;
  ProjectId project;
  WalletId wallet;
  std::string currency;
  std::vector<std::string> models;  ///< allow-list; empty = all
  std::vector<std::string> regions = {};  ///< where its requests may be served: data stays there; empty = anywhere
  KeyPolicy policy;
  std::string tenant_text;  ///< the tenant's id as price versions name it
  std::string tenant_name;
  std::string project_name;
  std::int64_t weight = 1;                        ///< of the tenant, in the queue
  ServiceTier tier_max = ServiceTier::kDefault;   ///< asking for more is served as this

  bool may_call(std::string_view model) const {
    return models.empty() || std::ranges::find(models, model) != models.end();
  }
};

/// Keys as billing last told us. Thread-safe; readers never wait for an update in the making; no I/O.
class Principals {
 public:
  virtual ~Principals() = default;
  /// `key_text` is what followed "Bearer "; `use` says for what and from where. shared_ptr: a request keeps its
  /// principal while the cache moves on.
  /// Fails: unauthenticated/invalid_api_key (one text for missing, malformed, unknown, revoked, expired),
  /// permission_denied/tenant_suspended, source_not_allowed or scope_not_allowed, unavailable/keys_not_loaded before
  /// the first snapshot. Models are checked later, when the request's is known.
  virtual Result<std::shared_ptr<const Principal>> authenticate(std::string_view key_text, const KeyUse& use) const = 0;
};

struct AdmissionRequest {
  RequestId request;
  std::shared_ptr<const Principal> principal;
  std::string model;
  std::string region;
  std::string pool;                      ///< price lookup; the pool of the deployment that serves the model
  std::int64_t prompt_tokens_max = 0;    ///< upper bound known before tokenising (bytes of text + template)
  std::int64_t completion_tokens_max = 0;
  Duration budget = {};                  ///< the request's own deadline, for "highest rate until then"
  bool is_stream = false;
  std::string surface;                   ///< "http.chat" | "http.messages" | "grpc.chat" | ...
  std::string end_user;                  ///< what the client sent as `user`, for caps of end users; empty = not named
};

/// The money side of one admitted request. Exactly one settle() ends it; destroying an unsettled Charge settles it as
/// failed with the last reported progress (a bug is then logged), so a hold never leaks. Owned by one io thread.
class Charge {
 public:
  virtual ~Charge() = default;
  /// The worker has tokenised: the hold shrinks to the exact prompt.
  virtual void on_accepted(const TokenUsage& usage, std::string_view worker_id) = 0;
  /// Tokens about to be flushed to the client; journalled without waiting at the cadence of M2.
  virtual void on_progress(const TokenUsage& usage) = 0;
  /// Rates the request, journals FINAL and waits until it is on disk. The last byte of the answer may leave only
  /// after this returns. Fails: unavailable/journal_failed (then nothing more may be sent).
  virtual awaitable<Result<Settlement>> settle(FinalReport report) = 0;
  /// Price band at admission, for headers.
  virtual std::string_view band() const = 0;
  /// Until when that band and its price were known to last, at admission; nullopt: no change is known.
  virtual std::optional<Wall> price_until() const { return std::nullopt; }
};

/// Thread-safe: every io thread calls it.
class Meter {
 public:
  virtual ~Meter() = default;
  /// Prices the worst case, takes it from the wallet's lease and from those of every cap that binds the request
  /// (fetching or growing what is short), journals ADMIT. No network round trip while the leases have room.
  /// Fails: resource_exhausted/insufficient_balance or budget_exceeded (402), failed_precondition/price_missing (503, model not
  /// admissible), unavailable/billing_unreachable or journal_full (503).
  virtual awaitable<Result<std::unique_ptr<Charge>>> admit(AdmissionRequest request) = 0;
  /// Price in force now for /v1/models; nullopt when the model has none.
  struct Quote {
    std::string band, currency, price_version, prompt_hit, prompt_miss, output;  ///< rates per 1M tokens
    std::int64_t until_us = 0;                                                   ///< next change, 0 = open
  };
  virtual std::optional<Quote> quote(const Principal& principal, std::string_view model) const = 0;
  /// Whether one entry of the price book is in force for the model in both pools, so that who is served in the other
  /// pays the same. Pools as (region, pool).
  virtual bool has_same_price(const Principal& /*principal*/, std::string_view /*model*/,
                              std::pair<std::string_view, std::string_view> /*one*/,
                              std::pair<std::string_view, std::string_view> /*other*/) const {
    return false;
  }
};

/// What wallets hold, as billing knows it, now or `age` ago. Thread-safe; every call is a round trip.
class Balances {
 public:
  virtual ~Balances() = default;
  struct Balance {
    std::string currency;
    Money granted;    ///< money given, not used and not expired
    Money topped_up;  ///< the rest, paid in; below zero: credit in use
    bool is_available = false;  ///< something can be spent, credit included
    Duration age{};             ///< how long ago billing said so
  };
  /// What gateways hold on lease is still the wallet's. Usage of the last seconds may not be posted yet.
  /// Fails: not_found/unknown_wallet (also another tenant's), unavailable/...
  virtual awaitable<Result<Balance>> find(TenantId tenant, WalletId wallet) = 0;
};

/// What must be remembered of a request before anything of it may be charged or handed over.
class ChargeFence {
 public:
  virtual ~ChargeFence() = default;
  /// Once a request at most. When it fails nothing may be charged or handed over.
  virtual awaitable<Status> before_charge() = 0;
};

/// Idempotency keys, over all gateways. Belongs to one executor. Every call is one atomic step and one round trip, and
/// fails within its time limit with unavailable/idempotency_unavailable; then whether it was done is not known.
/// `name` hides the caller's key and whose it is, `owner` is the id of the request that claims.
class IdempotencyStore {
 public:
  virtual ~IdempotencyStore() = default;
  /// nullopt: the name is `owner`'s from here on, as running, for the lease; or what is remembered under it. A running
  /// claim of the same digest whose lease has lapsed is taken over.
  virtual awaitable<Result<std::optional<IdempotencyEntry>>> claim(std::string name, std::string digest,
                                                                   std::string owner) = 0;
  // Each of these only while the claim is the owner's and neither kept, dropped nor unknown.
  // Fails also: aborted/claim_lost.
  /// A new lease.
  virtual awaitable<Status> renew(std::string name, std::string owner) = 0;
  /// Running becomes committed, with a new lease.
  virtual awaitable<Status> commit(std::string name, std::string owner) = 0;
  /// The end: `state` is kKept, with the sealed answer, kDropped or kUnknown. Remembered for the store's time to live.
  virtual awaitable<Status> finish(std::string name, std::string owner, AnswerState state, std::string answer) = 0;
  /// Nothing was charged: forgets the claim.
  virtual awaitable<Status> release(std::string name, std::string owner) = 0;
};

/// Receipts that billing keeps for ever. Thread-safe; every call is a round trip.
class ReceiptArchive {
 public:
  virtual ~ReceiptArchive() = default;
  /// The signed bytes. Fails: not_found/unknown_request (also another tenant's, and for some seconds after an answer),
  /// not_found/no_receipt, invalid_argument/bad_uuid, unavailable/...
  virtual awaitable<Result<std::string>> find(TenantId tenant, std::string request_id) = 0;
  struct Key {
    std::string key_id, signer, deployment, public_key;
    std::int64_t valid_from_us = 0;
    std::int64_t valid_to_us = 0;  ///< 0 = signs now
  };
  virtual awaitable<Result<std::vector<Key>>> keys() = 0;
};

}  // namespace tidegate::gateway
