// Settings of recognition in a stream, as `last.live.settings.LiveSettings` has them, and with its defaults.

/**
 * Times are in seconds, probabilities from 0 to 1.
 * @typedef {object} LiveSettings
 * @property {number} window the time that is classified, up to the newest frame
 * @property {number} shortest who has been there for less is not classified yet
 * @property {number} every a person is classified at every so many of their frames
 * @property {number} smoothing the time constant of the average over the last probabilities; 0 for none
 * @property {number} threshold at which an action starts; 0 for the thresholds of the model
 * @property {number} release share of the threshold below which an action ends
 * @property {number} onset how long a probability has to be above for an action to start
 * @property {number} offset how long it has to be below for an action to end
 * @property {number} bridge how long a person may be missing without being lost
 * @property {number} largest_jump a frame further ahead starts the stream anew
 * @property {number} most_bodies further people are not classified
 * @property {number} rate frames per second to which is resampled; 0 for that of the model, or 30
 */

/** @type {Readonly<LiveSettings>} */
export const DEFAULTS = Object.freeze({
  window: 2.0,
  shortest: 0.4,
  every: 5,
  smoothing: 0.3,
  threshold: 0.0,
  release: 0.7,
  onset: 0.2,
  offset: 0.4,
  bridge: 0.5,
  largest_jump: 10.0,
  most_bodies: 20,
  rate: 0.0,
});
