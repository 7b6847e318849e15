//! The one macro that gives an event enum its permanent names.

/// Implements the framework's and the kernel's event contract. Every variant must have an `occurred_at` field.
/// Versions default to 1.0; list a variant under `versions` when its shape has moved on.
macro_rules! contract {
    ($event:ident, $context:literal, $aggregate:literal, [$($variant:ident),+ $(,)?]
     $(, versions { $($old:ident : $version:literal),+ })? $(, sensitive($this:ident) $body:block)?) => {
        impl $event {
            /// Every name this aggregate can write.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($variant)),+];
        }

        impl cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                minispod_kernel::Event::name(self).to_owned()
            }
            fn event_version(&self) -> String {
                match self {
                    $($(Self::$old { .. } => $version.to_owned(),)+)?
                    #[allow(unreachable_patterns, reason = "an enum may list all its variants above")]
                    _ => "1.0".to_owned(),
                }
            }
        }

        impl minispod_kernel::Event for $event {
            const CONTEXT: &'static str = $context;
            const AGGREGATE: &'static str = $aggregate;

            fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => stringify!($variant)),+ }
            }
            fn occurred_at(&self) -> minispod_kernel::Timestamp {
                match self { $(Self::$variant { occurred_at, .. } => *occurred_at),+ }
            }
            $(fn sensitive(&mut self) -> Vec<minispod_kernel::SensitiveSlot<'_>> { let $this = self; $body })?
        }
    };
}
pub(crate) use contract;

/// For counters that older payloads lack.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
pub(crate) const fn is_zero(number: &u32) -> bool {
    *number == 0
}
