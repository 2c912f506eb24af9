#include "gateway/rpc/grpc_call.h"

#include <cstddef>

#include "base/rpc/auth_gate.h"
#include "gateway/rpc/chat_codec.h"
#include "gateway/rpc/embed_codec.h"

namespace tidegate::gateway {
namespace {

constexpr std::size_t kEventsWaitingMax = 64;
/// Before what a request brings: the same bytes sent elsewhere are another request.
constexpr std::string_view kChatPath = "/tidegate.v1.Inference/Chat\n";
constexpr std::string_view kEmbedPath = "/tidegate.v1.Inference/Embed\n";

}  // namespace

grpc::ServerWriteReactor<v1::ChatEvent>* ChatCall::open(grpc::CallbackServerContext* context,
                                                        std::function<void()> on_done) {
  rpc::WriterOptions<v1::ChatEvent> options;
  options.queue_max = kEventsWaitingMax;
  options.merge = merge_events;
  options.on_done = std::move(on_done);
  // Keys are checked on the lane, like over HTTP; the stream itself is open to everybody.
  writer_.emplace(ChatWriter::open(context, rpc::AuthGate::open(), std::move(options)));
  return writer_->reactor();
}

std::string ChatCall::content() const { return std::string(kChatPath) + message_.SerializeAsString(); }

Result<Plan> ChatCall::take_plan() { return decode_chat(std::move(message_)); }

std::unique_ptr<AnswerSink> ChatCall::make_sink(GrpcHead head) {
  return std::make_unique<ChatSink>(*writer_, std::move(head), tap);
}

Status ChatCall::replay(StoredAnswer answer) {
  auto kept = read_kept(answer.body);
  writer_->add_initial(answer.headers);
  if (!kept) {
    writer_->finish(fail(public_error(Refusal(std::move(kept).error()))));
    return {};
  }
  for (v1::ChatEvent& event : kept->events) {
    Status pushed = writer_->push(std::move(event));
    if (!pushed) return pushed;
  }
  writer_->finish(kept->end);
  return {};
}

void ChatCall::refuse(const rpc::Metadata& initial, const Refusal& refusal) {
  writer_->add_initial(initial);
  writer_->finish(fail(public_error(refusal)), refusal_metadata(refusal));
}

grpc::ServerUnaryReactor* EmbedCall::open(grpc::CallbackServerContext* context, v1::EmbedResponse* response,
                                          std::function<void()> on_done) {
  reply_.emplace(EmbedReply::open(context, response, std::move(on_done)));
  return reply_->reactor();
}

std::string EmbedCall::content() const { return std::string(kEmbedPath) + message_.SerializeAsString(); }

Result<Plan> EmbedCall::take_plan() { return decode_embed(std::move(message_)); }

std::unique_ptr<AnswerSink> EmbedCall::make_sink(GrpcHead head) {
  return std::make_unique<EmbedSink>(*reply_, std::move(head), tap);
}

Status EmbedCall::replay(StoredAnswer answer) {
  auto kept = read_kept_embedding(answer.body);
  reply_->add_initial(answer.headers);
  if (!kept) {
    reply_->refuse(public_error(Refusal(std::move(kept).error())));
    return {};
  }
  return reply_->answer(*std::move(kept));
}

void EmbedCall::refuse(const rpc::Metadata& initial, const Refusal& refusal) {
  reply_->add_initial(initial);
  reply_->refuse(public_error(refusal), refusal_metadata(refusal));
}

grpc::ServerUnaryReactor* CountCall::open(grpc::CallbackServerContext* context, v1::CountTokensResponse* response) {
  reply_.emplace(rpc::UnaryReply<v1::CountTokensResponse>::open(context, response));
  return reply_->reactor();
}

Result<Plan> CountCall::take_plan() { return decode_chat(std::move(message_)); }

void CountCall::answer(const rpc::Metadata& initial, std::int64_t tokens) {
  v1::CountTokensResponse response;
  response.set_prompt_tokens(static_cast<std::int32_t>(tokens));
  reply_->add_initial(initial);
  (void)reply_->answer(std::move(response));  // a client that has left has nothing to lose
}

void CountCall::refuse(const rpc::Metadata& initial, const Refusal& refusal) {
  reply_->add_initial(initial);
  reply_->refuse(public_error(refusal), refusal_metadata(refusal));
}

}  // namespace tidegate::gateway
