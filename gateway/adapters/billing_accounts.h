#pragma once

#include <memory>
#include <string>

#include "base/core/clock.h"
#include "base/core/rpc_tls_options.h"
#include "gateway/money/accounts_port.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// Accounts over gRPC. `address`: "host:port" or "unix:/path"; does not connect yet. Every unary call ends within
/// `call_limit`; the watch stream lives until it breaks (keepalive notices a dead peer) or its reader is destroyed.
/// Destroy it before the executors of its callers end; it cancels and awaits what is in flight. `clock` outlives it.
/// With `tls` billing must prove who it is. Fails: invalid_argument/bad_address.
Result<std::unique_ptr<Accounts>> connect_billing(const std::string& address, const std::string& token,
                                                  const Clock& clock, const RpcTlsOptions& tls = {},
    Duration call_limit = std::chrono::seconds(5));

/// The same for receipts.
Result<std::unique_ptr<ReceiptArchive>> connect_receipts(const std::string& address, const std::string& token,
                                                         const Clock& clock, const RpcTlsOptions& tls = {},
    Duration call_limit = std::chrono::seconds(5));

/// The same for balances.
Result<std::unique_ptr<Balances>> connect_balances(const std::string& address, const std::string& token,
                                                   const Clock& clock, const RpcTlsOptions& tls = {},
    Duration call_limit = std::chrono::seconds(5));

}  // namespace tidegate::gateway
