#include "gateway/adapters/remote_guard.h"

#include <atomic>
#include <utility>

#include "base/rpc/client.h"
#include "gateway/adapters/guard_codec.h"
#include "tidegate/v1/guard.grpc.pb.h"

namespace tidegate::gateway {
namespace {

using Async = class v1::Guard::Stub::async;

/// One of the calls at once, as long as it lives.
class Slot {
 public:
  explicit Slot(std::atomic<std::size_t>& taken) : taken_(taken), number_(taken.fetch_add(1) + 1) {}
  ~Slot() { taken_.fetch_sub(1); }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  std::size_t number() const { return number_; }

 private:
  std::atomic<std::size_t>& taken_;
  const std::size_t number_;
};

class RemoteGuard final : public Guard {
 public:
  RemoteGuard(std::shared_ptr<rpc::Channel> channel, const RemoteGuardOptions& options, const Clock& clock)
      : client_(std::move(channel)), wait_max_(options.wait_max), calls_max_(options.calls_max), clock_(clock) {}

  awaitable<Result<GuardVerdict>> check(const GuardCheck& check) override {
    const Slot slot(calls_);
    if (slot.number() > calls_max_) {
      co_return fail(Code::kResourceExhausted, "guard_busy", "Too many checks wait for the guard; see guard.calls.");
    }
    v1::GuardRequest request = encode_check(check);
    const Deadline limit = Deadline::after(clock_.mono(), wait_max_);
    auto call = client_.call(&Async::Check, std::move(request), limit);
    TG_CO_ASSIGN(const auto answer, co_await std::move(call));
    co_return decode_verdict(answer, check);
  }

 private:
  rpc::Client<v1::Guard> client_;
  const Duration wait_max_;
  const std::size_t calls_max_;
  const Clock& clock_;
  std::atomic<std::size_t> calls_ = 0;
};

}  // namespace

Result<std::unique_ptr<Guard>> connect_guard(const RemoteGuardOptions& options, const Clock& clock) {
  rpc::ChannelOptions channel_options;
  channel_options.token = options.token;
  TG_ASSIGN(auto channel, rpc::make_channel(options.address, channel_options));
  return std::make_unique<RemoteGuard>(std::move(channel), options, clock);
}

}  // namespace tidegate::gateway
