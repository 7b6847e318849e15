//! Three lines that make each of our aggregates one of the framework's, so its test kit and event store contract apply.

/// Implements `cqrs_es::Aggregate`: decide, then write each event. `Services` is always `()`: look up first, command second.
macro_rules! bridge {
    ($aggregate:ty) => {
        impl cqrs_es::Aggregate for $aggregate {
            const TYPE: &'static str =
                <<$aggregate as minispod_kernel::Aggregate>::Event as minispod_kernel::Event>::AGGREGATE;
            type Command = (<$aggregate as minispod_kernel::Aggregate>::Command, minispod_kernel::Moment);
            type Event = <$aggregate as minispod_kernel::Aggregate>::Event;
            type Error = <$aggregate as minispod_kernel::Aggregate>::Refusal;
            type Services = ();

            async fn handle(
                &mut self,
                (command, at): Self::Command,
                (): &Self::Services,
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in minispod_kernel::Aggregate::decide(self, command, &at)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                minispod_kernel::Aggregate::apply(self, &event);
            }
        }
    };
}
pub(crate) use bridge;

/// Implements a refusal's code and kind from one table.
macro_rules! refusals {
    ($refusal:ident { $($variant:ident $({ $($field:ident),+ })? => $kind:ident, $code:literal;)+ }) => {
        impl minispod_kernel::Refusal for $refusal {
            fn code(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $code),+ }
            }
            fn kind(&self) -> minispod_kernel::RefusalKind {
                match self { $(Self::$variant { .. } => minispod_kernel::RefusalKind::$kind),+ }
            }
        }
    };
}
pub(crate) use refusals;
