#pragma once

#include <memory>
#include <string>

#include "base/core/result.h"
#include "base/rpc/channel.h"
#include "base/rpc/tls.h"

namespace tidegate::gateway {

/// A channel to billing, which must show billing's role where `tls` is on. `token`: empty for none.
Result<std::shared_ptr<rpc::Channel>> billing_channel(const std::string& address, const std::string& token,
                                                      const RpcTlsOptions& tls);

}  // namespace tidegate::gateway
