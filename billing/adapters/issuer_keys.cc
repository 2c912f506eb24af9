#include "billing/adapters/issuer_keys.h"

#include <utility>

namespace tidegate::billing {

Result<std::shared_ptr<const JwkSet>> IssuerKeys::for_key(std::string_view key_id) {
  const std::string stamp = source_->stamp();
  if (reason_to_look(key_id, stamp) != nullptr) {
    // Nobody waits behind a slow provider: strangers' tokens would take every thread.
    const std::unique_lock one(looking_, std::try_to_lock);
    // Another may have looked in between.
    const char* why = one.owns_lock() ? reason_to_look(key_id, stamp) : nullptr;
    if (why != nullptr) look(why, stamp);
  }
  const std::lock_guard lock(mutex_);
  if (keys_ != nullptr && clock_.mono() - *confirmed_ < options_.trusted_for) return keys_;
  return fail(Code::kUnavailable, "keys_unreachable",
              keys_ == nullptr ? "the identity provider's keys could not be read yet"
                               : "the identity provider's keys could not be read for too long");
}

const char* IssuerKeys::reason_to_look(std::string_view key_id, const std::string& stamp) const {
  const std::lock_guard lock(mutex_);
  const Mono now = clock_.mono();
  if (!looked_) return "start";
  // A source that can tell is asked at once, as often as it changes: that is nobody's request.
  if (stamp != stamp_) return "changed";
  if (now - *looked_ < options_.look_least) return nullptr;
  if (keys_ == nullptr) return "absent";
  if (now - *confirmed_ >= options_.refresh_every) return "old";
  if (keys_->find(key_id) == nullptr) return "unknown_key";
  return nullptr;
}

void IssuerKeys::look(const char* why, const std::string& stamp) {
  {
    const std::lock_guard lock(mutex_);
    looked_ = clock_.mono();
    stamp_ = stamp;
  }
  const auto text = source_->load();
  Result<JwkSet> set = text ? JwkSet::parse(*text) : Result<JwkSet>(std::unexpected(text.error()));
  if (!set) {
    failures_.add();
    log_.error("issuer_keys_not_read",
               {kv("why", why), kv("reason", set.error().reason), kv("message", set.error().message)});
    return;
  }
  loads_.add();
  keep(*std::move(set), clock_.mono());
}

void IssuerKeys::keep(JwkSet set, Mono now) {
  log_.info("issuer_keys_read", {kv("keys", set.size()), kv("left_out", set.complaints().size())});
  for (const std::string& complaint : set.complaints()) log_.warn("issuer_key_left_out", {kv("message", complaint)});
  auto kept = std::make_shared<const JwkSet>(std::move(set));
  const std::lock_guard lock(mutex_);
  keys_ = std::move(kept);
  confirmed_ = now;
}

}  // namespace tidegate::billing
