#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/metrics.h"
#include "base/crypto/jwk_set.h"
#include "billing/adapters/key_source.h"

namespace tidegate::billing {

struct IssuerKeyOptions {
  Duration refresh_every = std::chrono::minutes(10);
  /// Between two looks, whatever the reason: a stranger's token with an invented key costs the provider nothing more.
  Duration look_least = std::chrono::seconds(30);
  /// Keys that the provider has not confirmed for so long are trusted no more: it may have withdrawn them.
  Duration trusted_for = std::chrono::hours(24);
};

/// The public keys of the identity provider, as last seen. Looks again after a while, when the source says that it
/// changed, and when a token names a key that is not there. While a look fails the keys of before stay, for a day.
/// Thread-safe: one caller looks, the others go on with what there is.
class IssuerKeys {
 public:
  /// References outlive it. `loads` and `failures` count looks.
  IssuerKeys(std::unique_ptr<KeySource> source, const IssuerKeyOptions& options, const Clock& clock, Log& log,
             Counter& loads, Counter& failures)
      : source_(std::move(source)), options_(options), clock_(clock), log_(log), loads_(loads), failures_(failures) {}

  /// The keys to verify a token with that names `key_id`. May look for them, and then block for seconds.
  /// shared_ptr: a verification keeps its set while a new one takes its place.
  /// Fails: unavailable/keys_unreachable when there are none that may be trusted.
  Result<std::shared_ptr<const JwkSet>> for_key(std::string_view key_id);

 private:
  /// Why to look now; nullptr: there is no need, or it is too early.
  const char* reason_to_look(std::string_view key_id, const std::string& stamp) const;
  void look(const char* why, const std::string& stamp);
  void keep(JwkSet set, Mono now);

  const std::unique_ptr<KeySource> source_;
  const IssuerKeyOptions options_;
  const Clock& clock_;
  Log& log_;
  Counter& loads_;
  Counter& failures_;
  std::mutex looking_;  ///< held by the one that looks; taken before mutex_
  mutable std::mutex mutex_;
  std::shared_ptr<const JwkSet> keys_;
  std::optional<Mono> confirmed_;  ///< when the keys were last seen at their source
  std::optional<Mono> looked_;     ///< when it was last tried
  std::string stamp_;              ///< of the source at that look
};

}  // namespace tidegate::billing
