#include "gateway/adapters/billing_channel.h"

namespace tidegate::gateway {

Result<std::shared_ptr<rpc::Channel>> billing_channel(const std::string& address, const std::string& token,
                                                      const RpcTlsOptions& tls) {
  rpc::ChannelOptions options;
  options.token = token;
  options.tls = tls;
  options.peer_role = rpc::kBillingRole;
  return rpc::make_channel(address, options);
}

}  // namespace tidegate::gateway
