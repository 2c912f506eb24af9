#include "billing/rpc/watch_hub.h"

#include "billing/adapters/change_log.h"
#include "billing/rpc/budget_messages.h"
#include "billing/rpc/limit_messages.h"
#include "billing/rpc/messages.h"

namespace tidegate::billing {

namespace {

constexpr auto kReadLimit = std::chrono::seconds(2);
constexpr auto kSnapshotLimit = std::chrono::seconds(20);
constexpr std::size_t kQueueMax = 10'000;

v1::AccountsUpdate delta_message(const AccountsDelta& delta) {
  v1::AccountsUpdate out;
  out.set_version(static_cast<std::uint64_t>(delta.version));
  for (const auto& principal : delta.principals) *out.add_principals() = to_message(principal);
  for (const auto& key : delta.removed_keys) out.add_removed_keys(std::string(key.raw()));
  for (const auto& version : delta.prices) *out.add_prices() = to_message(version);
  for (const auto id : delta.removed_prices) out.add_removed_prices(id);
  for (const auto& calendar : delta.calendars) *out.add_calendars() = to_message(calendar);
  out.set_has_modifiers(delta.has_modifiers);
  for (const auto& modifier : delta.modifiers) *out.add_modifiers() = to_message(modifier);
  for (const auto& wallet : delta.topped_up) out.add_topped_up_wallets(std::string(wallet.raw()));
  for (const auto& cap : delta.caps) {
    if (cap.removed) {
      out.add_removed_caps(std::string(cap.id.raw()));
    } else {
      *out.add_caps() = rule_message(cap);
    }
  }
  for (const auto& limit : delta.limits) {
    if (limit.removed) {
      out.add_removed_limits(std::string(limit.id.raw()));
    } else {
      *out.add_limits() = rule_message(limit);
    }
  }
  return out;
}

/// The first says reset, the last end_of_snapshot; prices travel before the keys that need them.
std::vector<v1::AccountsUpdate> snapshot_messages(const AccountsSnapshot& snapshot) {
  std::vector<v1::AccountsUpdate> out(1);
  for (const auto& calendar : snapshot.prices.book.calendars()) *out[0].add_calendars() = to_message(calendar);
  for (const auto& version : snapshot.prices.book.versions()) *out[0].add_prices() = to_message(version);
  out[0].set_has_modifiers(true);
  for (const auto& modifier : snapshot.prices.book.modifiers()) *out[0].add_modifiers() = to_message(modifier);
  // Before the keys as well: no key is known here before what limits it.
  for (const auto& cap : snapshot.caps) {
    if (static_cast<std::size_t>(out.back().caps_size()) == WatchHub::kCapsPerMessage) out.emplace_back();
    *out.back().add_caps() = rule_message(cap);
  }
  for (const auto& limit : snapshot.limits) {
    if (static_cast<std::size_t>(out.back().limits_size()) == WatchHub::kLimitsPerMessage) out.emplace_back();
    *out.back().add_limits() = rule_message(limit);
  }
  for (const auto& principal : snapshot.principals) {
    if (static_cast<std::size_t>(out.back().principals_size()) == WatchHub::kPrincipalsPerMessage) out.emplace_back();
    *out.back().add_principals() = to_message(principal);
  }
  out.front().set_reset(true);
  out.back().set_end_of_snapshot(true);
  for (auto& message : out) message.set_version(static_cast<std::uint64_t>(snapshot.version));
  return out;
}

}  // namespace

void WatchHub::start(const std::string& connection) {
  pg::ListenerOptions options;
  options.connection = connection;
  options.channels = {kChangeChannel};
  options.poll = kPoll;
  listener_ = std::make_unique<pg::Listener>(options, [this](std::string_view, std::string_view) { follow(); });
}

void WatchHub::stop() {
  listener_.reset();
  std::map<std::uint64_t, Stream> streams;
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
    streams.swap(streams_);
  }
  for (auto& [id, stream] : streams) {
    if (stream.writer) stream.writer->finish(fail(Code::kUnavailable, "shutting_down", "billing is stopping: connect again"));
  }
}

void WatchHub::follow() {
  while (true) {
    const Mono asked = context_.clock.mono();
    auto read = [this](pqxx::work& tx) -> Result<AccountsDelta> {
      if (followed_) return load_accounts_delta(tx, *followed_);
      AccountsDelta start;
      start.version = change_version(tx);
      return start;
    };
    auto delta = context_.pool.run_blocking(Deadline::after(asked, kReadLimit), read);
    if (!delta) {
      context_.log.warn("accounts_not_read", {kv("error", delta.error().to_string())});
      return;
    }
    const bool is_news = followed_ && delta->version != *followed_;
    followed_ = delta->version;
    if (is_news) {
      broadcast(delta_message(*delta), Kind::kNews);
      context_.metrics.watch_updates.add();
      context_.metrics.watch_lag_seconds.observe(std::chrono::duration<double>(context_.clock.mono() - asked).count());  // seconds
      continue;
    }
    // A poll early rather than late: the promise is one heartbeat a second.
    if (asked - last_sent_ >= kHeartbeat - kPoll) {
      v1::AccountsUpdate heartbeat;
      heartbeat.set_version(static_cast<std::uint64_t>(*followed_));
      broadcast(std::move(heartbeat), Kind::kHeartbeat);
    }
    return;
  }
}

void WatchHub::broadcast(v1::AccountsUpdate message, Kind kind) {
  last_sent_ = context_.clock.mono();
  message.set_now_us(unix_micros(context_.clock.wall()));
  const auto version = static_cast<std::int64_t>(message.version());
  const bool is_heartbeat = kind == Kind::kHeartbeat;
  const std::lock_guard lock(mutex_);
  for (auto& [id, stream] : streams_) {
    if (!stream.snapshot_version) {
      if (!is_heartbeat) stream.early.push_back(message);
    } else if (stream.writer && (is_heartbeat || version > *stream.snapshot_version)) {
      // A refused push means that the stream is ending; its on_done removes it.
      (void)stream.writer->push(message);
    }
  }
}

grpc::ServerWriteReactor<v1::AccountsUpdate>* WatchHub::watch(grpc::CallbackServerContext* call, const rpc::AuthGate& gate,
                                                              const std::string& gateway) {
  std::uint64_t id = 0;
  bool is_stopped = false;
  {
    // Before the stream exists: its on_done may come at once.
    const std::lock_guard lock(mutex_);
    id = next_id_++;
    is_stopped = is_stopped_;
    if (!is_stopped) streams_.try_emplace(id);
  }
  context_.metrics.watchers.add(1);
  rpc::WriterOptions<v1::AccountsUpdate> options;
  options.queue_max = kQueueMax;
  options.when_full = rpc::WhenFull::kEnd;
  options.on_done = [this, id] {
    context_.metrics.watchers.add(-1);
    Stream ended;  // dies outside the lock
    const std::lock_guard lock(mutex_);
    if (auto node = streams_.extract(id)) ended = std::move(node.mapped());
  };
  auto writer = rpc::StreamWriter<v1::AccountsUpdate>::open(call, gate, options);
  auto* reactor = writer.reactor();
  if (is_stopped) {
    writer.finish(fail(Code::kUnavailable, "shutting_down", "billing is stopping: connect elsewhere"));
    return reactor;
  }
  {
    const std::lock_guard lock(mutex_);
    const auto found = streams_.find(id);
    if (found == streams_.end()) return reactor;
    found->second.writer = std::move(writer);
  }
  context_.log.info("watch_opened", {kv("gateway", gateway)});
  if (!workers_.try_submit([this, id] { send_snapshot(id); })) {
    end(id, fail(Code::kResourceExhausted, "server_busy", "too many calls wait: connect again with back-off"));
  }
  return reactor;
}

void WatchHub::send_snapshot(std::uint64_t id) {
  {
    // While the database hung, its gateway has asked again and again: only who still listens is worth a snapshot.
    const std::lock_guard lock(mutex_);
    if (!streams_.contains(id)) return;
  }
  auto snapshot = context_.pool.run_blocking(Deadline::after(context_.clock.mono(), kSnapshotLimit), load_accounts);
  if (!snapshot) {
    context_.log.warn("snapshot_failed", {kv("error", snapshot.error().to_string())});
    end(id, fail(Code::kUnavailable, "snapshot_failed", snapshot.error().message));
    return;
  }
  auto messages = snapshot_messages(*snapshot);
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(id);
  if (found == streams_.end() || !found->second.writer) return;
  Stream& stream = found->second;
  stream.snapshot_version = snapshot->version;
  for (auto& message : messages) {
    message.set_now_us(unix_micros(context_.clock.wall()));
    (void)stream.writer->push(std::move(message));
  }
  for (auto& update : stream.early) {
    if (static_cast<std::int64_t>(update.version()) > snapshot->version) (void)stream.writer->push(std::move(update));
  }
  stream.early.clear();
}

void WatchHub::end(std::uint64_t id, const Status& status) {
  Stream ended;
  {
    const std::lock_guard lock(mutex_);
    if (auto node = streams_.extract(id)) ended = std::move(node.mapped());
  }
  if (ended.writer) ended.writer->finish(status);
}

}  // namespace tidegate::billing
