#include "tests/support/gateway/fake_billing.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/net/timer.h"
#include "base/receipt/receipt_check.h"
#include "gateway/money/price_wire.h"
#include "base/receipt_event/event_receipt.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway::test {
namespace {

std::unexpected<Error> unreachable() { return fail(Code::kUnavailable, "rpc_unavailable", "billing is down"); }
std::unexpected<Error> contradiction(std::string words) {
  return fail(Code::kInvalidArgument, "bad_event", std::move(words));
}

}  // namespace

struct FakeBilling::Inbox {
  explicit Inbox(Executor executor) : signal(std::move(executor)) {}
  std::mutex mutex;
  std::vector<v1::AccountsUpdate> updates;
  bool is_broken = false;
  bool is_cancelled = false;
  AsyncSignal signal;
};

class FakeBilling::Stream final : public AccountsStream {
 public:
  explicit Stream(std::shared_ptr<Inbox> inbox) : inbox_(std::move(inbox)) {}

  awaitable<Result<std::optional<v1::AccountsUpdate>>> read(Deadline deadline) override {
    for (;;) {
      {
        const std::lock_guard lock(inbox_->mutex);
        if (inbox_->is_cancelled) co_return fail(Code::kCancelled, "rpc_cancelled", "cancelled");
        if (!inbox_->updates.empty()) {
          v1::AccountsUpdate update = std::move(inbox_->updates.front());
          inbox_->updates.erase(inbox_->updates.begin());
          co_return std::optional<v1::AccountsUpdate>(std::move(update));
        }
        if (inbox_->is_broken) co_return unreachable();
      }
      if (!co_await inbox_->signal.wait_until(deadline)) {
        co_return fail(Code::kDeadlineExceeded, "read_timeout", "silence");
      }
    }
  }
  void cancel() override {
    {
      const std::lock_guard lock(inbox_->mutex);
      inbox_->is_cancelled = true;
    }
    inbox_->signal.notify();
  }

 private:
  std::shared_ptr<Inbox> inbox_;
};

FakeBilling::FakeBilling(Executor executor, const Clock& clock) : executor_(std::move(executor)), clock_(clock) {}

WalletId FakeBilling::add_wallet(Money balance, Money credit_limit) {
  const std::lock_guard lock(mutex_);
  const WalletId id{tidegate::test::SequentialIds::make(1'000'000 + next_id_++)};
  wallets_[id] = {.balance = balance, .credit_limit = credit_limit, .leased = {}, .spent = {}};
  return id;
}

void FakeBilling::top_up(WalletId wallet, Money amount) {
  const std::lock_guard lock(mutex_);
  wallets_.at(wallet).balance += amount;
  v1::AccountsUpdate update;
  update.add_topped_up_wallets(std::string(wallet.raw()));
  publish(update);
}

void FakeBilling::add_key(v1::Principal principal) {
  const std::lock_guard lock(mutex_);
  v1::AccountsUpdate update;
  *update.add_principals() = principal;
  keys_[principal.key_id()] = std::move(principal);
  publish(update);
}

void FakeBilling::remove_key(const std::string& key_id) {
  const std::lock_guard lock(mutex_);
  keys_.erase(key_id);
  v1::AccountsUpdate update;
  update.add_removed_keys(key_id);
  publish(update);
}

void FakeBilling::add_price(v1::PriceVersion version) {
  const std::lock_guard lock(mutex_);
  v1::AccountsUpdate update;
  *update.add_prices() = version;
  prices_[version.id()] = std::move(version);
  publish(update);
}

void FakeBilling::add_modifier(v1::PriceModifier modifier) {
  const std::lock_guard lock(mutex_);
  modifiers_.push_back(std::move(modifier));
  v1::AccountsUpdate update;
  update.set_has_modifiers(true);
  *update.mutable_modifiers() = {modifiers_.begin(), modifiers_.end()};
  publish(update);
}

Uuid FakeBilling::add_cap(const std::string& tenant, v1::CapScope scope, const std::string& subject, Money limit) {
  const std::lock_guard lock(mutex_);
  const Uuid id = tidegate::test::SequentialIds::make(3'000'000 + next_id_++);
  Cap& cap = caps_[std::string(id.raw())];
  cap.limit = limit;
  cap.rule.set_cap_id(std::string(id.raw()));
  cap.rule.set_tenant_id(tenant);
  cap.rule.set_scope(scope);
  cap.rule.set_subject(subject.empty() ? std::string(16, '\0') : subject);
  cap.rule.set_period(v1::CAP_PERIOD_DAILY);
  cap.rule.set_amount(limit.to_string());
  v1::AccountsUpdate update;
  *update.add_caps() = cap.rule;
  publish(update);
  return id;
}

void FakeBilling::set_cap_limit(const Uuid& cap, Money limit) {
  const std::lock_guard lock(mutex_);
  Cap& mine = caps_.at(std::string(cap.raw()));
  mine.limit = limit;
  mine.rule.set_amount(limit.to_string());
  v1::AccountsUpdate update;
  *update.add_caps() = mine.rule;
  publish(update);
}

void FakeBilling::remove_cap(const Uuid& cap) {
  const std::lock_guard lock(mutex_);
  v1::AccountsUpdate update;
  update.add_removed_caps(std::string(cap.raw()));
  publish(update);
}

void FakeBilling::set_limit(v1::RateLimitRule rule) {
  const std::lock_guard lock(mutex_);
  v1::AccountsUpdate update;
  *update.add_limits() = rule;
  limits_[rule.limit_id()] = std::move(rule);
  publish(update);
}

void FakeBilling::remove_limit(const std::string& limit_id) {
  const std::lock_guard lock(mutex_);
  limits_.erase(limit_id);
  v1::AccountsUpdate update;
  update.add_removed_limits(limit_id);
  publish(update);
}

void FakeBilling::roll_periods(Wall end_of_next) {
  const std::lock_guard lock(mutex_);
  ++period_;
  period_end_us_ = unix_micros(end_of_next);
}

FakeBilling::CapSpend FakeBilling::cap_spend(const Uuid& cap, const Uuid& end_user) const {
  const std::lock_guard lock(mutex_);
  const auto found = cap_nodes_.find(node_of(std::string(cap.raw()), end_user.is_nil() ? "" : std::string(end_user.raw())));
  return found == cap_nodes_.end() ? CapSpend() : found->second;
}

std::string FakeBilling::node_of(const std::string& cap, const std::string& end_user) const {
  return cap + (end_user.empty() ? std::string(16, '\0') : end_user) + std::to_string(period_);
}

void FakeBilling::fail_next(Call call, Error error, bool is_done, int count) {
  const std::lock_guard lock(mutex_);
  faults_[call] = {.error = std::move(error), .is_done = is_done, .count = count};
}

void FakeBilling::set_down(bool is_down) {
  {
    const std::lock_guard lock(mutex_);
    is_down_ = is_down;
  }
  if (is_down) break_streams();
}

void FakeBilling::break_streams() {
  const std::lock_guard lock(mutex_);
  for (const auto& weak : inboxes_) {
    if (const auto inbox = weak.lock()) {
      {
        const std::lock_guard inner(inbox->mutex);
        inbox->is_broken = true;
      }
      inbox->signal.notify();
    }
  }
  inboxes_.clear();
}

FakeBilling::Wallet FakeBilling::wallet(WalletId id) const {
  const std::lock_guard lock(mutex_);
  return wallets_.at(id);
}

std::vector<v1::UsageEvent> FakeBilling::events() const {
  const std::lock_guard lock(mutex_);
  std::vector<v1::UsageEvent> all;
  for (const auto& [id, event] : events_) all.push_back(event);
  return all;
}

std::optional<v1::UsageEvent> FakeBilling::event(RequestId request) const {
  const std::lock_guard lock(mutex_);
  const auto found = events_.find(std::string(request.raw()));
  return found == events_.end() ? std::nullopt : std::optional(found->second);
}

int FakeBilling::calls(Call call) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  return found == calls_.end() ? 0 : found->second;
}

std::size_t FakeBilling::open_epochs() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(epochs_, [](const auto& e) { return !e.second.is_closed; }));
}

std::size_t FakeBilling::watchers() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(inboxes_, [](const auto& weak) { return !weak.expired(); }));
}

std::vector<std::string> FakeBilling::reconcile() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> differences;
  std::map<WalletId, Money> leased;
  std::map<std::string, Money> spent_of_lease;
  for (const auto& [id, event] : events_) spent_of_lease[event.lease_id()] += *Money::parse(event.amount());
  for (const auto& [id, lease] : leases_) {
    if (lease.is_open) leased[lease.wallet] += lease.amount - lease.consumed;
    if (lease.consumed > lease.amount) differences.push_back("a lease spent more than it had");
    if (lease.consumed != spent_of_lease[id]) differences.push_back("a lease's consumption is not that of its events");
  }
  std::map<std::string, Money> held_of_node, spent_of_node, spent_of_cap_lease;
  for (const auto& [id, event] : events_) {
    for (const std::string& lease : event.cap_lease_ids()) spent_of_cap_lease[lease] += *Money::parse(event.amount());
  }
  for (const auto& [id, lease] : cap_leases_) {
    if (lease.is_open) held_of_node[lease.node] += lease.amount - lease.consumed;
    spent_of_node[lease.node] += lease.consumed;
    if (lease.consumed > lease.amount) differences.push_back("a cap's lease spent more than it had");
    if (lease.consumed != spent_of_cap_lease[id]) differences.push_back("a cap's lease is not the sum of its events");
  }
  for (const auto& [node, spend] : cap_nodes_) {
    if (spend.leased != held_of_node[node] || spend.spent != spent_of_node[node]) differences.push_back("books of a cap");
  }
  for (const auto& [id, wallet] : wallets_) {
    if (wallet.leased != leased[id]) differences.push_back("leased of wallet " + id.to_string());
    if (wallet.available().is_negative()) differences.push_back("overspent wallet " + id.to_string());
  }
  return differences;
}

std::unique_ptr<AccountsStream> FakeBilling::watch(v1::WatchAccountsRequest) {
  const std::lock_guard lock(mutex_);
  auto inbox = std::make_shared<Inbox>(executor_);
  if (is_down_) {
    inbox->is_broken = true;
  } else {
    inbox->updates.push_back(snapshot());
    inboxes_.push_back(inbox);
  }
  return std::make_unique<Stream>(std::move(inbox));
}

template <typename Answer, typename Work>
Result<Answer> FakeBilling::answer(Call call, Work work) {
  const std::lock_guard lock(mutex_);
  ++calls_[call];
  if (is_down_) return unreachable();
  const auto fault = faults_.find(call);
  const bool is_faulty = fault != faults_.end() && fault->second.count > 0;
  if (!is_faulty) return work();
  --fault->second.count;
  if (fault->second.is_done) [[maybe_unused]] const auto lost = work();
  return fail(fault->second.error);
}

awaitable<Result<v1::OpenEpochResponse>> FakeBilling::open_epoch(v1::OpenEpochRequest request) {
  co_return answer<v1::OpenEpochResponse>(Call::kOpenEpoch, [&] { return do_open(request); });
}
awaitable<Result<v1::CloseEpochResponse>> FakeBilling::close_epoch(v1::CloseEpochRequest request) {
  co_return answer<v1::CloseEpochResponse>(Call::kCloseEpoch, [&] { return do_close(request); });
}
awaitable<Result<v1::Lease>> FakeBilling::acquire_lease(v1::AcquireLeaseRequest request) {
  co_return answer<v1::Lease>(Call::kAcquire, [&] { return do_acquire(request); });
}
awaitable<Result<v1::Lease>> FakeBilling::return_lease(v1::ReturnLeaseRequest request) {
  co_return answer<v1::Lease>(Call::kReturn, [&] { return do_return(request); });
}
awaitable<Result<v1::UsageAck>> FakeBilling::submit_usage(v1::UsageBatch batch) {
  co_return answer<v1::UsageAck>(Call::kSubmit, [&] { return do_submit(batch); });
}

Result<v1::OpenEpochResponse> FakeBilling::do_open(const v1::OpenEpochRequest& request) {
  v1::OpenEpochResponse response;
  std::uint64_t last = 0;
  for (const auto& [key, epoch] : epochs_) {
    if (key.first != request.gateway_id()) continue;
    last = key.second;
    if (epoch.boot == request.boot_id()) response.set_epoch(key.second);
  }
  if (response.epoch() == 0) {
    response.set_epoch(last + 1);
    epochs_[{request.gateway_id(), last + 1}].boot = request.boot_id();
    receipt_keys_[request.gateway_id()] = request.receipt_key();
  }
  for (const auto& [key, epoch] : epochs_) {
    if (key.first != request.gateway_id() || epoch.is_closed || key.second == response.epoch()) continue;
    auto* one = response.add_unclosed();
    one->set_epoch(key.second);
    one->set_applied_through(epoch.applied);
    one->set_receipt_link(epoch.receipt_link);
  }
  return response;
}

Result<v1::CloseEpochResponse> FakeBilling::do_close(const v1::CloseEpochRequest& request) {
  const auto found = epochs_.find({request.gateway_id(), request.epoch()});
  if (found == epochs_.end()) return fail(Code::kNotFound, "unknown_epoch", "no such epoch");
  if (found->second.is_closed) return v1::CloseEpochResponse();
  if (found->second.applied != request.last_sequence()) {
    return fail(Code::kFailedPrecondition, "sequence_gap",
                fmt::format("applied {}, closing at {}", found->second.applied, request.last_sequence()));
  }
  found->second.is_closed = true;
  for (auto& [id, lease] : leases_) {
    if (lease.gateway != request.gateway_id() || lease.epoch != request.epoch() || !lease.is_open) continue;
    lease.is_open = false;
    wallets_.at(lease.wallet).leased -= lease.amount - lease.consumed;
  }
  for (auto& [id, lease] : cap_leases_) {
    if (lease.gateway != request.gateway_id() || lease.epoch != request.epoch() || !lease.is_open) continue;
    lease.is_open = false;
    cap_nodes_.at(lease.node).leased -= lease.amount - lease.consumed;
  }
  return v1::CloseEpochResponse();
}

Result<v1::Lease> FakeBilling::do_acquire(const v1::AcquireLeaseRequest& request) {
  if (const auto seen = replies_.find(request.grant_id()); seen != replies_.end()) return seen->second;
  const auto epoch = epochs_.find({request.gateway_id(), request.epoch()});
  if (epoch == epochs_.end() || epoch->second.is_closed) {
    return fail(Code::kFailedPrecondition, "epoch_closed", "no open epoch");
  }
  if (!request.cap_id().empty()) return do_acquire_of_cap(request);
  TG_ASSIGN(const WalletId wallet_id, WalletId::from_bytes(request.wallet_id()));
  const auto wallet = wallets_.find(wallet_id);
  if (wallet == wallets_.end()) return fail(Code::kNotFound, "unknown_wallet", "no such wallet");
  TG_ASSIGN(const Money want, Money::parse(request.want()));
  TG_ASSIGN(const Money least, Money::parse(request.least()));
  const Money available = wallet->second.available();
  if (available < least || least.is_zero()) {
    return fail(Code::kResourceExhausted, "insufficient_balance", "not enough money");
  }
  const Money share = Money::from_pico(available.pico() / (2 * gateways_));
  const Money granted = std::min(want, std::max(least, share));
  std::string id;
  for (const auto& [lease_id, lease] : leases_) {
    if (lease.wallet == wallet_id && lease.gateway == request.gateway_id() && lease.epoch == request.epoch()) id = lease_id;
  }
  if (id.empty()) {
    id = std::string(tidegate::test::SequentialIds::make(2'000'000 + next_id_++).raw());
    leases_[id] = {.wallet = wallet_id, .gateway = request.gateway_id(), .epoch = request.epoch(), .amount = {}, .consumed = {}};
  }
  leases_[id].amount += granted;
  wallet->second.leased += granted;
  return replies_[request.grant_id()] = lease_reply(id, granted);
}

Result<v1::Lease> FakeBilling::do_return(const v1::ReturnLeaseRequest& request) {
  if (const auto seen = replies_.find(request.return_id()); seen != replies_.end()) return seen->second;
  if (request.is_cap_lease()) return do_return_to_cap(request);
  const auto found = leases_.find(request.lease_id());
  TG_ASSIGN(const Money amount, Money::parse(request.amount()));
  if (found == leases_.end() || !found->second.is_open || found->second.amount - found->second.consumed < amount) {
    return fail(Code::kFailedPrecondition, "lease_closed", "not that much is left in this lease");
  }
  found->second.amount -= amount;
  wallets_.at(found->second.wallet).leased -= amount;
  return replies_[request.return_id()] = lease_reply(request.lease_id(), -amount);
}

Result<v1::Lease> FakeBilling::do_acquire_of_cap(const v1::AcquireLeaseRequest& request) {
  const auto cap = caps_.find(request.cap_id());
  if (cap == caps_.end()) return fail(Code::kNotFound, "unknown_cap", "no such cap");
  const std::string node = node_of(request.cap_id(), request.end_user());
  CapSpend& spend = cap_nodes_[node];
  TG_ASSIGN(const Money want, Money::parse(request.want()));
  TG_ASSIGN(const Money least, Money::parse(request.least()));
  const Money available = cap->second.limit - spend.spent - spend.leased;
  if (available < least) {
    return fail(Code::kResourceExhausted, "budget_exceeded",
                fmt::format("the daily cap is {}; it resets at midnight", cap->second.limit.to_string()), "cap");
  }
  const Money share = Money::from_pico(available.pico() / (2 * gateways_));
  const Money granted = std::min(want, std::max(least, share));
  std::string id;
  for (const auto& [lease_id, lease] : cap_leases_) {
    if (lease.node == node && lease.gateway == request.gateway_id() && lease.epoch == request.epoch()) id = lease_id;
  }
  if (id.empty()) {
    id = std::string(tidegate::test::SequentialIds::make(4'000'000 + next_id_++).raw());
    cap_leases_[id] = {.node = node, .gateway = request.gateway_id(), .epoch = request.epoch(), .amount = {}, .consumed = {}};
  }
  cap_leases_[id].amount += granted;
  spend.leased += granted;
  return replies_[request.grant_id()] = cap_reply(id, granted);
}

Result<v1::Lease> FakeBilling::do_return_to_cap(const v1::ReturnLeaseRequest& request) {
  const auto found = cap_leases_.find(request.lease_id());
  TG_ASSIGN(const Money amount, Money::parse(request.amount()));
  if (found == cap_leases_.end() || !found->second.is_open || found->second.amount - found->second.consumed < amount) {
    return fail(Code::kFailedPrecondition, "lease_closed", "not that much is left in this lease");
  }
  found->second.amount -= amount;
  cap_nodes_.at(found->second.node).leased -= amount;
  return replies_[request.return_id()] = cap_reply(request.lease_id(), -amount);
}

v1::Lease FakeBilling::cap_reply(const std::string& id, Money granted) const {
  const CapLease& lease = cap_leases_.at(id);
  const CapSpend& spend = cap_nodes_.at(lease.node);
  v1::Lease reply;
  reply.set_lease_id(id);
  reply.set_amount(lease.amount.to_string());
  reply.set_granted(granted.to_string());
  const Wall expires = clock_.wall() + std::chrono::duration_cast<std::chrono::microseconds>(lease_life_);
  reply.set_expires_us(unix_micros(expires));
  reply.set_wallet_available((caps_.at(lease.node.substr(0, 16)).limit - spend.spent - spend.leased).to_string());
  reply.set_period_end_us(period_end_us_);
  return reply;
}

v1::Lease FakeBilling::lease_reply(const std::string& id, Money granted) const {
  const Lease& lease = leases_.at(id);
  v1::Lease reply;
  reply.set_lease_id(id);
  reply.set_wallet_id(std::string(lease.wallet.raw()));
  reply.set_amount(lease.amount.to_string());
  reply.set_granted(granted.to_string());
  const Wall expires = clock_.wall() + std::chrono::duration_cast<std::chrono::microseconds>(lease_life_);
  reply.set_expires_us(unix_micros(expires));
  reply.set_wallet_available(wallets_.at(lease.wallet).available().to_string());
  return reply;
}

Result<v1::UsageAck> FakeBilling::do_submit(const v1::UsageBatch& batch) {
  const auto found = epochs_.find({batch.gateway_id(), batch.epoch()});
  if (found == epochs_.end() || found->second.is_closed) {
    return fail(Code::kFailedPrecondition, "epoch_closed", "no open epoch");
  }
  std::uint64_t expected = batch.events_size() == 0 ? 0 : batch.events(0).sequence();
  if (expected > found->second.applied + 1) return fail(Code::kFailedPrecondition, "sequence_gap", "a gap");
  std::map<std::string, Money> consumed;
  std::set<std::string> fresh;
  std::string link = found->second.receipt_link;
  for (const v1::UsageEvent& event : batch.events()) {
    if (event.sequence() != expected++) return contradiction("sequences are not consecutive");
    if (event.sequence() <= found->second.applied) continue;
    TG_TRY(check_event(event, consumed));
    TG_TRY(check_receipt(event, found->first, receipt_keys_.at(batch.gateway_id()), link));
    if (!fresh.insert(event.request_id()).second) return contradiction("a request twice in a batch");
    consumed[event.lease_id()] += *Money::parse(event.amount());
    for (const std::string& lease : event.cap_lease_ids()) {
      const auto known = cap_leases_.find(lease);
      if (known == cap_leases_.end() || !known->second.is_open) return contradiction("foreign lease of a cap");
      consumed[lease] += *Money::parse(event.amount());
      if (known->second.consumed + consumed[lease] > known->second.amount) return contradiction("more than a cap's lease has");
    }
  }
  for (const v1::UsageEvent& event : batch.events()) {
    if (event.sequence() <= found->second.applied) continue;
    const Money amount = *Money::parse(event.amount());
    Lease& lease = leases_.at(event.lease_id());
    Wallet& wallet = wallets_.at(lease.wallet);
    lease.consumed += amount;
    wallet.leased -= amount;
    wallet.balance -= amount;
    wallet.spent += amount;
    for (const std::string& id : event.cap_lease_ids()) {
      CapLease& of_cap = cap_leases_.at(id);
      of_cap.consumed += amount;
      cap_nodes_.at(of_cap.node).leased -= amount;
      cap_nodes_.at(of_cap.node).spent += amount;
    }
    events_[event.request_id()] = event;
    found->second.applied = event.sequence();
  }
  found->second.receipt_link = link;
  v1::UsageAck ack;
  ack.set_applied_through(found->second.applied);
  return ack;
}

Status FakeBilling::check_event(const v1::UsageEvent& event, const std::map<std::string, Money>& consumed) const {
  if (events_.contains(event.request_id())) return contradiction("a request that was billed before");
  const auto lease = leases_.find(event.lease_id());
  if (lease == leases_.end() || lease->second.wallet.raw() != event.wallet_id()) return contradiction("foreign lease");
  TG_ASSIGN(const auto tokens, price::TokenCounts::from_usage(event.prompt_tokens(), event.cached_tokens(),
                                                              event.completion_tokens(), event.reasoning_tokens()));
  TG_ASSIGN(const auto known, book());
  const price::PriceVersion* version = known.find(event.price_version());
  if (version == nullptr) return contradiction("unknown price version");
  const price::Instants instants{.admitted = wall_from_unix_micros(event.admitted_us()),
                                 .started = wall_from_unix_micros(event.started_us()),
                                 .completed = wall_from_unix_micros(event.completed_us()),
                                 .clock_error = std::chrono::microseconds(event.clock_error_us())};
  if (instants.started < instants.admitted || instants.completed < instants.started) return contradiction("instants");
  TG_ASSIGN(const TenantId tenant, TenantId::from_bytes(event.tenant_id()));
  TG_ASSIGN(const auto rated, known.rate(*version, instants, tokens, tenant.to_string()));
  TG_ASSIGN(const Money amount, Money::parse(event.amount()));
  if (rated.total != amount || rated.band != event.band()) {
    return contradiction(fmt::format("rated {} {}, event says {} {}", rated.total.to_string(), rated.band,
                                     event.amount(), event.band()));
  }
  const auto pending = consumed.find(event.lease_id());
  const Money before = lease->second.consumed + (pending == consumed.end() ? Money() : pending->second);
  if (before + amount > lease->second.amount) return contradiction("more than the lease has");
  return {};
}

Status FakeBilling::check_receipt(const v1::UsageEvent& event, const EpochKey& epoch, const std::string& key,
                                  std::string& link) {
  const std::string& previous = event.receipt().previous();
  if (previous != (link.empty() ? std::string(32, '\0') : link)) return contradiction("the receipt follows another");
  TG_ASSIGN(const auto receipt, receipt_of(event, epoch.first, epoch.second));
  const std::string body = receipt::encode_body(receipt);
  TG_ASSIGN(const auto read,
            receipt::decode_signed(receipt::join(body, event.receipt().key_id(), event.receipt().signature())));
  TG_ASSIGN(const auto public_key, Ed25519PublicKey::from_raw(key));
  TG_TRY(receipt::verify_signature(read.envelope, public_key));
  TG_TRY(receipt::check_arithmetic(read.receipt));
  link = as_view(receipt::link_of(body));
  return {};
}

Result<price::PriceBook> FakeBilling::book() const {
  std::vector<price::PriceVersion> versions;
  for (const auto& [id, wire] : prices_) {
    TG_ASSIGN(auto version, price_version_from_wire(wire));
    versions.push_back(std::move(version));
  }
  std::vector<price::Modifier> modifiers;
  for (const auto& wire : modifiers_) {
    TG_ASSIGN(auto modifier, modifier_from_wire(wire));
    modifiers.push_back(std::move(modifier));
  }
  return price::PriceBook::build(std::move(versions), {}, std::move(modifiers));
}

v1::AccountsUpdate FakeBilling::snapshot() const {
  v1::AccountsUpdate update;
  update.set_reset(true);
  for (const auto& [id, key] : keys_) *update.add_principals() = key;
  for (const auto& [id, price] : prices_) *update.add_prices() = price;
  update.set_has_modifiers(true);
  *update.mutable_modifiers() = {modifiers_.begin(), modifiers_.end()};
  for (const auto& [id, cap] : caps_) *update.add_caps() = cap.rule;
  for (const auto& [id, rule] : limits_) *update.add_limits() = rule;
  update.set_end_of_snapshot(true);
  update.set_now_us(unix_micros(clock_.wall()));
  return update;
}

void FakeBilling::publish(const v1::AccountsUpdate& update) {
  for (const auto& weak : inboxes_) {
    if (const auto inbox = weak.lock()) {
      {
        const std::lock_guard inner(inbox->mutex);
        inbox->updates.push_back(update);
        inbox->updates.back().set_now_us(unix_micros(clock_.wall()));
      }
      inbox->signal.notify();
    }
  }
}

}  // namespace tidegate::gateway::test
