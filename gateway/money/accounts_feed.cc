#include "gateway/money/accounts_feed.h"

#include <algorithm>
#include <utility>

#include "gateway/money/price_wire.h"

namespace tidegate::gateway {
namespace {

// Billing sends a heartbeat every second; three missed ones and the keys we hold may be out of date.
constexpr Duration kSilenceMax = std::chrono::seconds(3);
constexpr Duration kFeedRetryLeast = std::chrono::milliseconds(50);
constexpr Duration kFeedRetryMost = std::chrono::seconds(1);
constexpr std::int64_t kQueueWeightMax = 1'000;

/// nullopt when a range cannot be read: a limit that is not understood must not become no limit.
std::optional<KeyPolicy> policy_of(const v1::Principal& wire) {
  KeyPolicy policy;
  if (wire.scopes_size() > 0) {
    policy.scopes = KeyScopes();
    // A scope of a newer billing stands for something that this gateway does not serve.
    for (const std::string& name : wire.scopes()) {
      if (const auto scope = parse_key_scope(name)) policy.scopes.add(*scope);
    }
  }
  for (const std::string& text : wire.sources()) {
    auto range = IpRange::parse(text);
    if (!range) return std::nullopt;
    policy.sources.push_back(*std::move(range));
  }
  return policy;
}

}  // namespace

AccountsFeed::AccountsFeed(Accounts& accounts, std::string gateway_id, PrincipalCache& principals,
                           FeedMetrics& metrics, const Clock& clock, Log& log, Executor executor, TopUp on_top_up,
                           CapChange on_cap_changed)
    : accounts_(accounts),
      gateway_id_(std::move(gateway_id)),
      principals_(principals),
      metrics_(metrics),
      clock_(clock),
      log_(log),
      on_top_up_(std::move(on_top_up)),
      on_cap_changed_(std::move(on_cap_changed)),
      backoff_(kFeedRetryLeast, kFeedRetryMost, std::hash<std::string>()(gateway_id_)),
      stopped_(executor),
      heard_(clock.mono()),
      prices_(std::make_shared<const price::PriceBook>()),
      caps_(std::make_shared<const CapTable>()),
      limits_(std::make_shared<const RateRules>()) {}

awaitable<void> AccountsFeed::run() {
  while (!is_stopping_) {
    v1::WatchAccountsRequest request;
    request.set_gateway_id(gateway_id_);
    known_ = {};
    stream_ = accounts_.watch(std::move(request));
    co_await follow(*stream_);
    stream_.reset();
    if (is_stopping_) break;
    metrics_.reconnects.add();
    const Deadline pause = Deadline::after(clock_.mono(), backoff_.next());
    co_await stopped_.wait_until(pause);
  }
}

void AccountsFeed::stop() {
  is_stopping_ = true;
  if (stream_) stream_->cancel();
  stopped_.notify();
}

void AccountsFeed::tick() {
  const std::chrono::duration<double> silence = clock_.mono() - heard_;
  metrics_.staleness_seconds.set(silence.count());
}

awaitable<void> AccountsFeed::follow(AccountsStream& stream) {
  while (!is_stopping_) {
    const Deadline limit = Deadline::after(clock_.mono(), kSilenceMax);
    auto update = co_await stream.read(limit);
    if (is_stopping_) co_return;
    if (!update || !*update) {
      if (!is_silent_) {
        log_.warn("accounts_watch_lost", {kv("error", update ? "ended by billing" : update.error().to_string())});
      }
      is_silent_ = true;
      co_return;
    }
    heard_ = clock_.mono();
    apply(**std::move(update));
  }
}

void AccountsFeed::apply(v1::AccountsUpdate update) {
  if (update.reset()) known_ = {};
  if (update.now_us() != 0) {
    clock_error_.observe(unix_micros(clock_.wall()), update.now_us());
    metrics_.clock_error_seconds.set(std::chrono::duration<double>(clock_error_.bound()).count());
  }
  const bool has_keys = update.principals_size() > 0 || update.removed_keys_size() > 0;
  if (has_keys) apply_keys(update);
  const bool has_prices = apply_prices(update);
  const bool has_caps = apply_caps(update);
  const bool has_limits = apply_limits(update);
  if (update.end_of_snapshot()) {
    known_.is_whole = true;
    backoff_.reset();
    is_silent_ = false;
    log_.info("accounts_loaded", {kv("keys", known_.keys.size()), kv("prices", known_.versions.size())});
  }
  if (!known_.is_whole) return;
  // Before the keys: nobody is known here before what limits it.
  if (has_caps || update.end_of_snapshot()) publish_caps();
  bool are_first_limits = false;
  if (has_limits || update.end_of_snapshot()) are_first_limits = publish_limits();
  if (has_keys || are_first_limits || update.end_of_snapshot()) publish_keys();
  if (has_prices || update.end_of_snapshot()) publish_prices();
  for (const std::string& raw : update.topped_up_wallets()) {
    if (const auto wallet = WalletId::from_bytes(raw)) on_top_up_(*wallet);
  }
}

void AccountsFeed::apply_keys(const v1::AccountsUpdate& update) {
  for (const v1::Principal& wire : update.principals()) add_key(wire);
  for (const std::string& raw : update.removed_keys()) {
    const auto found = known_.public_id_of.find(raw);
    if (found == known_.public_id_of.end()) continue;
    known_.keys.erase(found->second);
    known_.public_id_of.erase(found);
  }
}

void AccountsFeed::add_key(const v1::Principal& wire) {
  const auto key = ApiKeyId::from_bytes(wire.key_id());
  const auto tenant = TenantId::from_bytes(wire.tenant_id());
  const auto project = ProjectId::from_bytes(wire.project_id());
  const auto wallet = WalletId::from_bytes(wire.wallet_id());
  auto policy = policy_of(wire);
  if (!key || !tenant || !project || !wallet || !policy || wire.key_mac().size() != Digest().size()) {
    // What was known of it until now may be more than it may do from now on.
    known_.keys.erase(wire.public_id());
    log_.error("principal_refused", {kv("public_id", wire.public_id())});
    return;
  }
  auto principal = std::make_shared<Principal>();
  principal->key = *key;
  principal->public_id = wire.public_id();
  principal->tenant = *tenant;
  principal->tenant_text = tenant->to_string();
  principal->project = *project;
  principal->wallet = *wallet;
  principal->currency = wire.currency();
  principal->models = {wire.models().begin(), wire.models().end()};
  principal->regions = {wire.regions().begin(), wire.regions().end()};
  principal->policy = *std::move(policy);
  principal->tenant_name = wire.tenant_name();
  principal->project_name = wire.project_name();
  principal->weight = std::clamp<std::int64_t>(wire.weight(), 1, kQueueWeightMax);
  principal->tier_max = parse_tier(wire.tier_max()).value_or(ServiceTier::kDefault);
  known_.public_id_of[wire.key_id()] = wire.public_id();
  known_.keys[wire.public_id()] = {
      .principal = std::move(principal),
      .mac = wire.key_mac(),
      .expires = wire.expires_us() == 0 ? Wall::max() : wall_from_unix_micros(wire.expires_us()),
      .is_suspended = wire.is_suspended()};
}

bool AccountsFeed::apply_prices(const v1::AccountsUpdate& update) {
  for (const v1::PriceVersion& wire : update.prices()) known_.versions[wire.id()] = wire;
  for (const std::int64_t id : update.removed_prices()) known_.versions.erase(id);
  for (const v1::HolidayCalendar& wire : update.calendars()) known_.calendars[{wire.id(), wire.version()}] = wire;
  if (update.has_modifiers()) known_.modifiers = {update.modifiers().begin(), update.modifiers().end()};
  return update.prices_size() > 0 || update.removed_prices_size() > 0 || update.calendars_size() > 0 ||
         update.has_modifiers();
}

bool AccountsFeed::apply_caps(const v1::AccountsUpdate& update) {
  for (const v1::CapRule& wire : update.caps()) known_.caps[wire.cap_id()] = wire;
  for (const std::string& raw : update.removed_caps()) known_.caps.erase(raw);
  return update.caps_size() > 0 || update.removed_caps_size() > 0;
}

void AccountsFeed::publish_caps() {
  std::size_t bad = 0;
  caps_.set(std::make_shared<const CapTable>(known_.caps, &bad));
  if (bad > 0) log_.error("caps_refused", {kv("count", bad)});
  for (const auto& [raw, before] : caps_published_) {
    const auto cap = Uuid::from_bytes(raw);
    if (!cap) continue;
    const auto now = known_.caps.find(raw);
    if (now == known_.caps.end()) {
      on_cap_changed_(*cap, /*is_lowered=*/true);
      continue;
    }
    const auto old_limit = Money::parse(before.amount()), limit = Money::parse(now->second.amount());
    if (old_limit && limit && *old_limit != *limit) on_cap_changed_(*cap, *limit < *old_limit);
  }
  caps_published_ = known_.caps;
}

bool AccountsFeed::apply_limits(const v1::AccountsUpdate& update) {
  for (const v1::RateLimitRule& wire : update.limits()) known_.limits[wire.limit_id()] = wire;
  for (const std::string& raw : update.removed_limits()) known_.limits.erase(raw);
  return update.limits_size() > 0 || update.removed_limits_size() > 0;
}

bool AccountsFeed::publish_limits() {
  auto rules = rate_rules_from_wire(known_.limits);
  if (!rules) {
    // The last good ones stay. Before there were any, no key is known: nobody is served past a limit that is not understood.
    metrics_.refused_limits.add();
    log_.error("limits_refused", {kv("error", rules.error().to_string()), kv("keeps_last", has_limits_)});
    if (!has_limits_) lacks_limits_.store(true, std::memory_order_release);
    return false;
  }
  limits_.set(*std::move(rules));
  lacks_limits_.store(false, std::memory_order_release);
  return !std::exchange(has_limits_, true);
}

void AccountsFeed::publish_keys() {
  if (!has_limits_) return;
  principals_.replace(std::make_shared<const KeyTable>(known_.keys));
  metrics_.principals.set(static_cast<double>(known_.keys.size()));
}

void AccountsFeed::publish_prices() {
  const auto convert = [&]() -> Result<price::PriceBook> {
    std::vector<price::PriceVersion> versions;
    for (const auto& [id, wire] : known_.versions) {
      TG_ASSIGN(auto version, price_version_from_wire(wire));
      versions.push_back(std::move(version));
    }
    std::vector<price::Calendar> calendars;
    for (const auto& [id, wire] : known_.calendars) {
      TG_ASSIGN(auto calendar, calendar_from_wire(wire));
      calendars.push_back(std::move(calendar));
    }
    std::vector<price::Modifier> modifiers;
    for (const auto& wire : known_.modifiers) {
      TG_ASSIGN(auto modifier, modifier_from_wire(wire));
      modifiers.push_back(std::move(modifier));
    }
    return price::PriceBook::build(std::move(versions), std::move(calendars), std::move(modifiers));
  };
  auto book = convert();
  if (!book) {
    // The last good book stays: a request is priced by it or not admitted, never free (M4).
    metrics_.refused_prices.add();
    log_.error("prices_refused", {kv("error", book.error().to_string())});
    return;
  }
  prices_.set(std::make_shared<const price::PriceBook>(*std::move(book)));
  has_prices_.store(true, std::memory_order_release);
  metrics_.price_versions.set(static_cast<double>(known_.versions.size()));
}

}  // namespace tidegate::gateway
