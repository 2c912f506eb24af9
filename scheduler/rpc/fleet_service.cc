#include "scheduler/rpc/fleet_service.h"

#include <boost/asio/post.hpp>
#include <memory>
#include <utility>

#include "base/rpc/bidi_server.h"
#include "base/rpc/status_map.h"
#include "base/rpc/stream_writer.h"
#include "scheduler/rpc/fleet_messages.h"

namespace tidegate::scheduler {

namespace {

using LinkStream = rpc::BidiServer<v1::WorkerReport, v1::WorkerCommand>;

v1::WorkerCommand command(Term term, bool is_drain) {
  v1::WorkerCommand message;
  message.set_term(term);
  if (is_drain) {
    message.set_drain(true);
  } else {
    message.set_welcome(true);
  }
  return message;
}

/// Ties one stream to one link of the control. Lives as long as either side may call: shared by both.
void serve_link(FleetControl& control, const std::shared_ptr<LinkStream>& stream, Log& log) {
  FleetControl::LinkHandle handle;
  handle.welcome = [stream](Term term) { (void)stream->write(command(term, false)); };
  handle.drain = [stream](Term term) { (void)stream->write(command(term, true)); };
  handle.close = [stream](Error why) { stream->finish(fail(std::move(why))); };
  const LinkId link = control.open_link(std::move(handle));
  stream->consume(
      control.executor(),
      [&control, &log, stream, link](v1::WorkerReport message) {
        auto report = read_report(message);
        if (report) {
          control.on_report(link, *std::move(report));
          return;
        }
        log.warn("worker_report_refused", {kv("message", report.error().message), kv("field", report.error().field)});
        stream->finish(fail(report.error()));
      },
      [&control, link](const Status&) { control.on_link_closed(link); });
}

}  // namespace

grpc::ServerBidiReactor<v1::WorkerReport, v1::WorkerCommand>* FleetService::WorkerLink(grpc::CallbackServerContext* context) {
  auto stream = std::make_shared<LinkStream>(LinkStream::open(context, worker_gate_));
  auto* reactor = stream->reactor();
  asio::post(control_.executor(), [this, stream] { serve_link(control_, stream, log_); });
  return reactor;
}

grpc::ServerWriteReactor<v1::Routes>* FleetService::WatchRoutes(grpc::CallbackServerContext* context,
                                                                const v1::WatchRoutesRequest* request) {
  using Writer = rpc::StreamWriter<v1::Routes>;
  rpc::WriterOptions<v1::Routes> options;
  options.queue_max = 1;
  // Each picture replaces the one before: a slow gateway misses nothing but history.
  options.merge = [](v1::Routes& last, v1::Routes& next) {
    last = std::move(next);
    return true;
  };
  auto writer = std::make_shared<Writer>(Writer::open(context, gateway_gate_, std::move(options)));
  auto* reactor = writer->reactor();
  log_.info("routes_watched", {kv("gateway", request->gateway_id()), kv("region", request->region())});
  asio::post(control_.executor(), [this, writer] {
    FleetControl::RoutesWatcher watcher;
    watcher.show = [writer](const RouteSnapshot& snapshot) { return writer->push(to_message(snapshot)).has_value(); };
    watcher.is_there = [writer] { return writer->is_open(); };
    watcher.close = [writer](Error why) { writer->finish(fail(std::move(why))); };
    control_.add_watcher(std::move(watcher));
  });
  return reactor;
}

/// Answered by the control: who does not lead refuses, or a gateway would go on telling a standby.
grpc::ServerUnaryReactor* FleetService::ReportDemand(grpc::CallbackServerContext* context, const v1::DemandReport* request,
                                                     v1::DemandAck*) {
  auto* reactor = context->DefaultReactor();
  if (const Status admitted = gateway_gate_.check(*context); !admitted) {
    reactor->Finish(rpc::to_grpc(*context, admitted.error()));
    return reactor;
  }
  auto report = read_demand(*request);
  if (!report) {
    reactor->Finish(rpc::to_grpc(*context, report.error()));
    return reactor;
  }
  auto taken = std::make_shared<DemandReport>(*std::move(report));  // shared: post() wants a copyable handler
  asio::post(control_.executor(), [this, taken, context, reactor] {
    const Status told = control_.on_demand(std::move(*taken));
    reactor->Finish(told ? grpc::Status::OK : rpc::to_grpc(*context, told.error()));
  });
  return reactor;
}

}  // namespace tidegate::scheduler
