#include "base/rpc/channel.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <chrono>

#include "base/rpc/address.h"
#include "base/rpc/mono_time.h"
#include "base/rpc/tls.h"

namespace tidegate::rpc {

namespace {

grpc::ChannelArguments arguments(const ChannelOptions& options) {
  grpc::ChannelArguments args;
  const auto ms = [](std::chrono::milliseconds span) { return static_cast<int>(span.count()); };
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, ms(options.keepalive_interval));
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ms(options.keepalive_timeout));
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // unlimited: the default stops pinging after two
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, ms(options.reconnect_least));
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, ms(options.reconnect_most));  // also the limit of one attempt
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, ms(options.reconnect_most));
  args.SetInt(GRPC_ARG_MAX_METADATA_SIZE, options.metadata_bytes_max);
  // A channel of our own: gRPC would otherwise share the connection, and its options, between equal channels.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetMaxReceiveMessageSize(options.message_bytes_max);
  args.SetMaxSendMessageSize(options.message_bytes_max);
  return args;
}

}  // namespace

Result<std::shared_ptr<Channel>> make_channel(const std::string& address, const ChannelOptions& options) {
  TG_ASSIGN(const std::string target, connect_target(address));
  auto channel = grpc::CreateCustomChannel(
      target, channel_credentials(target, options.tls, options.peer_role), arguments(options));
  return std::shared_ptr<Channel>(new Channel(address, options.token, std::move(channel)));
}

Channel::Channel(std::string address, std::string token, std::shared_ptr<grpc::Channel> channel)
    : address_(std::move(address)),
      authorization_(token.empty() ? std::string() : "Bearer " + token),
      channel_(std::move(channel)) {}

Channel::~Channel() { shut(); }

void Channel::prepare(grpc::ClientContext& context, Deadline deadline) const {
  context.set_deadline(to_gpr(deadline));
  if (!authorization_.empty()) context.AddMetadata("authorization", authorization_);
}

void Channel::shut() {
  calls_.shut();
  calls_.wait_until_empty();
}

bool Channel::wait_connected(Deadline deadline) { return channel_->WaitForConnected(to_gpr(deadline)); }

}  // namespace tidegate::rpc
