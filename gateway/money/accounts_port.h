#pragma once

#include <memory>
#include <optional>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/net/asio.h"
#include "tidegate/v1/billing.pb.h"

/// Billing as the gateway's money half needs it: proto/tidegate/v1/billing.proto, whose comments are the contract.
/// Real: gateway/adapters/billing_accounts.h. Fake: tests/support/gateway/fake_billing.h.
namespace tidegate::gateway {

/// Destroying it ends the stream.
class AccountsStream {
 public:
  virtual ~AccountsStream() = default;
  /// nullopt: billing ended the stream in order. deadline_exceeded/read_timeout when nothing came until then.
  virtual awaitable<Result<std::optional<v1::AccountsUpdate>>> read(Deadline deadline) = 0;
  /// Any thread. A waiting read() returns cancelled.
  virtual void cancel() = 0;
};

/// Every call has a time limit of its own (the adapter's) and comes back on the caller's executor. An error of the
/// kind unavailable, deadline_exceeded or cancelled leaves open whether billing did it; repeating the same ids is safe.
class Accounts {
 public:
  virtual ~Accounts() = default;
  virtual std::unique_ptr<AccountsStream> watch(v1::WatchAccountsRequest request) = 0;
  virtual awaitable<Result<v1::OpenEpochResponse>> open_epoch(v1::OpenEpochRequest request) = 0;
  virtual awaitable<Result<v1::CloseEpochResponse>> close_epoch(v1::CloseEpochRequest request) = 0;
  virtual awaitable<Result<v1::Lease>> acquire_lease(v1::AcquireLeaseRequest request) = 0;
  virtual awaitable<Result<v1::Lease>> return_lease(v1::ReturnLeaseRequest request) = 0;
  virtual awaitable<Result<v1::UsageAck>> submit_usage(v1::UsageBatch batch) = 0;
};

/// True when repeating the same call may succeed by itself.
inline bool is_transient(const Error& error) {
  switch (error.code) {
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kCancelled:
    case Code::kAborted:
    case Code::kInternal:
    case Code::kUnknown:
      return true;
    case Code::kResourceExhausted:
      return error.reason != "insufficient_balance" && error.reason != "budget_exceeded";
    case Code::kOk:
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kAlreadyExists:
    case Code::kPermissionDenied:
    case Code::kFailedPrecondition:
    case Code::kOutOfRange:
    case Code::kUnimplemented:
    case Code::kDataLoss:
    case Code::kUnauthenticated:
      return false;
  }
  return false;
}

}  // namespace tidegate::gateway
